"""What a blob store promises, kept by both: the folder, and S3 (a server of its protocol)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.blobs import Blobs, FolderBlobs, blob_for, ref_for
from tests.fakes.object_storage import bucket

CONTENT = bytes(range(256)) * 20
REF = ref_for(CONTENT)


@pytest.fixture(params=["folder", "s3"])
async def store(request: Any, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param == "folder":
        yield FolderBlobs(tmp_path / "blobs")
    else:
        async with bucket(tmp_path) as blobs:
            yield blobs


async def test_what_is_put_is_there_whole_and_in_parts(store: Blobs) -> None:
    other = ref_for(b"other")
    await store.put([(REF, CONTENT), (other, b"other"), (ref_for(b""), b"")])
    assert await store.get(REF) == CONTENT
    assert await store.get(other) == b"other"
    assert await store.get(ref_for(b"")) == b""
    assert await store.part(REF, 10, 20) == CONTENT[10:20]
    assert await store.part(REF, len(CONTENT) - 3, len(CONTENT) + 99) == CONTENT[-3:]
    assert await store.part(REF, len(CONTENT) + 1, len(CONTENT) + 9) == b""
    assert await store.part(REF, 5, 5) == b""
    await store.ping()


async def test_what_never_came_is_not_there(store: Blobs) -> None:
    assert await store.get(REF) is None
    assert await store.part(REF, 0, 10) is None
    assert await store.listed(REF[:2], time.time() + 60) == []
    assert await store.remove(REF, time.time()) is True
    await store.put([])


async def test_a_repeat_is_one_file(store: Blobs) -> None:
    for _ in range(3):
        await store.put([(REF, CONTENT)])
    assert await store.get(REF) == CONTENT
    assert await store.listed(REF[:2], time.time() + 60) == [REF]
    assert await store.remove(REF, time.time() + 60) is True
    assert await store.get(REF) is None


async def test_what_was_put_since_is_neither_removed_nor_listed(store: Blobs) -> None:
    await store.put([(REF, CONTENT)])
    before = time.time() - 60
    assert await store.listed(REF[:2], before) == []
    assert await store.remove(REF, before) is False
    assert await store.get(REF) == CONTENT


async def test_only_its_own_folder_is_listed(store: Blobs) -> None:
    contents = [str(n).encode() for n in range(20)]
    await store.put([(ref_for(content), content) for content in contents])
    for folder in {ref_for(content)[:2] for content in contents}:
        wanted = {ref for content in contents if (ref := ref_for(content)).startswith(folder)}
        assert set(await store.listed(folder, time.time() + 60)) == wanted


async def test_what_is_no_reference_reaches_no_file(store: Blobs) -> None:
    for wrong in ("../etc/passwd", "aa/../../x", "aa", "aaa/bbb", "aa/b/c", "", "aa/", "é1/aa"):
        with pytest.raises(ValueError, match="not a blob reference"):
            await store.get(wrong)
        with pytest.raises(ValueError, match="not a blob reference"):
            await store.put([(wrong, b"x")])


def test_equal_bytes_of_two_owners_have_two_names() -> None:
    mine, yours = blob_for(CONTENT, b"me"), blob_for(CONTENT, b"you")
    assert mine.ref != yours.ref != blob_for(CONTENT).ref
    assert mine == blob_for(CONTENT, b"me"), "a repeat finds its own"
    assert mine.sha256 == yours.sha256
    assert mine.sha256 not in mine.ref, "a name tells nobody what it holds"
