"""AWS Signature Version 4: Amazon's published examples, and its own library as the oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.providers.sigv4 import Credentials, signed
from tests.fakes.aws import KEY_ID, SECRET, authorization

AT = datetime(2026, 10, 1, 12, 0, 5, tzinfo=UTC)
STAMP = "20261001T120005Z"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
S3 = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1",
                 "s3")  # fmt: skip
S3_AT = datetime(2013, 5, 24, tzinfo=UTC)
BUCKET = "https://examplebucket.s3.amazonaws.com"


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def test_the_worked_example_of_the_user_guide() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    iam = Credentials("AKIDEXAMPLE", secret, "us-east-1", "iam")
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    found = signed("GET", url, iam, datetime(2015, 8, 30, 12, 36, tzinfo=UTC), headers=FORM)
    assert found["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/test.txt", {"Range": "bytes=0-9"},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", {},
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)  # fmt: skip
def test_the_worked_examples_of_s3(path: str, headers: dict[str, str], expected: str) -> None:
    assert signature(signed("GET", BUCKET + path, S3, S3_AT, headers=headers)) == expected


@pytest.mark.parametrize("service", ["ses", "sns", "s3"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    query=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4),
    body=st.binary(max_size=100),
)
def test_amazons_library_signs_the_same(
    service: str, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    # A path with `.` or empty parts is no path of ours; libraries differ on it.
    parts = [quote(part, safe="-_.~") for part in path.split("/") if part.strip(".")]
    pairs = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query.items() if k)
    url = f"https://host.example/{'/'.join(parts)}{'?' + pairs if pairs else ''}"
    headers = {"content-type": "application/json"} if method == "POST" else {}
    credentials = Credentials(KEY_ID, SECRET, "eu-west-1", service)
    ours = signed(method, url, credentials, AT, body, headers)
    assert ours["authorization"] == authorization(method, url, body, headers, service, STAMP)


def test_a_secret_is_not_shown() -> None:
    assert SECRET not in repr(Credentials(KEY_ID, SECRET, "eu-west-1", "ses"))
