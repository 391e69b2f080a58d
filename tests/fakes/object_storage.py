"""S3 as moto speaks it, on loopback in this process: a bucket for a test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

from shared.blobs.s3 import S3Blobs

NAME = "regie-tests"
KEYS = {
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_REGION": "eu-west-1",
}


@contextmanager
def server() -> Iterator[str]:
    """Its address. Credentials are in the environment meanwhile, where S3's clients look."""
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        moto.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def make_bucket(address: str, name: str = NAME) -> None:
    s3 = boto3.client("s3", endpoint_url=address, region_name="eu-west-1")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


@asynccontextmanager
async def bucket(folder: Path) -> AsyncIterator[S3Blobs]:
    """A store in a new bucket, under a prefix."""
    with server() as address:
        make_bucket(address)
        yield S3Blobs.of(f"s3://{NAME}/desk/blobs?endpoint={address}", folder / "spool")
        s3 = boto3.resource("s3", endpoint_url=address, region_name="eu-west-1")
        s3.Bucket(NAME).objects.all().delete()
        s3.Bucket(NAME).delete()
