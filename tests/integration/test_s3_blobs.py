"""The blob store in S3: what REGIE_BLOBS may say, what an outage looks like, a race that is won."""

from __future__ import annotations

import time
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest

from shared.blobs import FolderBlobs, open_blobs, ref_for
from shared.blobs.s3 import S3Blobs
from shared.errors import BlobsUnavailable, Misconfigured
from shared.settings import Settings
from tests.fakes.object_storage import NAME, bucket, server

REF = ref_for(b"hello")


async def test_the_store_that_regie_blobs_names(tmp_path: Path) -> None:
    folder = open_blobs(Settings(data_dir=tmp_path))
    assert isinstance(folder, FolderBlobs)
    assert folder.root == tmp_path / "blobs"
    with server():
        store = open_blobs(
            Settings(data_dir=tmp_path, blobs="s3://a-bucket/prefix?region=eu-west-1")
        )
    assert isinstance(store, S3Blobs)
    assert store.root == tmp_path / "spool", "large passing files stay on this machine"


@pytest.mark.parametrize(
    "wrong", ["s3://", "s3:///prefix", "s3://key:secret@bucket", "s3://bucket?token=x"]
)
def test_what_is_no_address_of_a_bucket_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="s3://bucket/prefix"):
        open_blobs(Settings(data_dir=tmp_path, blobs=wrong))


async def test_bytes_lie_under_the_prefix_and_nowhere_else(tmp_path: Path) -> None:
    async with bucket(tmp_path) as store:
        await store.put([(REF, b"hello")])
        address = str(store._store.config["endpoint"])
        s3 = boto3.client("s3", endpoint_url=address, region_name="eu-west-1")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=NAME)["Contents"]]
        assert len(keys) == 1
        assert keys[0].startswith(f"desk/blobs/{REF}/")


async def test_what_is_put_while_it_is_removed_stays(tmp_path: Path) -> None:
    """A removal takes the copies it found old enough, whatever comes beside them."""
    async with bucket(tmp_path) as store:
        await store.put([(REF, b"hello")])
        (old,) = await store._copies(REF)
        await store.put([(REF, b"hello")])
        assert len(await store._copies(REF)) == 2
        assert await store.remove(REF, old[1] + 1) is False, "two seconds are not told apart"
        assert await store.get(REF) == b"hello"
        assert await store.remove(REF, time.time() + 60) is True
        assert await store._copies(REF) == []


async def test_an_outage_is_said_as_such(tmp_path: Path) -> None:
    with server() as address:
        missing = S3Blobs.of(f"s3://no-such-bucket?endpoint={address}", tmp_path)
        away = S3Blobs.of("s3://bucket?endpoint=http://127.0.0.1:9", tmp_path)
        for store in (missing, away):
            calls = (
                store.ping(), store.put([(REF, b"x")]), store.get(REF), store.part(REF, 0, 1),
                store.remove(REF, 1.0), store.listed("aa", 1.0),
            )  # fmt: skip
            for call in calls:
                with pytest.raises(BlobsUnavailable, match="REGIE_BLOBS"):
                    await call
