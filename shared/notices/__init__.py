"""Notices to our own people and partners: short, and without a customer's words or addresses.

    notice = read(payload, public_url)      of a delivery
    put = worded(notice, now)               subject, text and link, in the recipient's language
    request = slack(put)                    as Slack, Teams or ntfy take it

kinds     what can be told, and the placeholders each has
builtin   the words in English, Dutch, German and French
filling   placeholders into words; what is wrong with words of one's own
times     instants and what is left until then, as people say it
shapes    the bodies the services take, and their limits

The router checks and previews with it, the notifier sends with it. Pure.
"""

from __future__ import annotations

from shared.notices.kinds import CUSTOMERS, KINDS, PLACES, TYPES, NoticeKind
from shared.notices.notice import Notice, Put, read, worded
from shared.notices.shapes import LIMITS, Request, ntfy, slack, teams

__all__ = [
    "CUSTOMERS",
    "KINDS",
    "LIMITS",
    "PLACES",
    "TYPES",
    "Notice",
    "NoticeKind",
    "Put",
    "Request",
    "ntfy",
    "read",
    "slack",
    "teams",
    "worded",
]
