"""What the demo says once it runs: where the inbox is, a key to it, and what to try."""

from __future__ import annotations

import sys
from typing import Final

_WORDS: Final = """
The demo shop is open. Customers write, call and mail; two agents answer; Ctrl-C ends it.

  inbox      {address}/v1/inbox
  agent key  {key}

Three commands to try, in another terminal:

  KEY={key}

  # 1. what waits for an answer, most urgent first
  curl -s -H "Authorization: Bearer $KEY" "{address}/v1/inbox?limit=3"

  # 2. take the most urgent one
  CASE=$(curl -s -X POST -H "Authorization: Bearer $KEY" {address}/v1/inbox/next \\
    | tee /dev/stderr | sed 's/^{{"id":"\\([^"]*\\)".*/\\1/')

  # 3. answer it (of a call, record the outcome instead: {{"outcome": "reached"}})
  curl -s -X POST -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"text": "We are on it: you will hear from us today."}}' {address}/v1/cases/$CASE/replies
"""


def show(address: str, key: str) -> None:
    print(_WORDS.format(address=address, key=key), file=sys.stdout, flush=True)
