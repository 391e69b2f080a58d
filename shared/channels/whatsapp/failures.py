"""Why Meta did not take a message, and whether the same message may be sent again.

Source: Meta, "Cloud API error codes" and "Handle errors" (Graph API v23.0).
"""

from __future__ import annotations

from typing import Final

from shared.channels.providers.meta_graph import Codes

CODES: Final = Codes(
    {
        # 24 hours have passed since the customer's last message
        "window_closed": (131047,),
        "throttled": (4, 80007, 130429, 131048, 131056, 131064, 133016),
        # expired, withdrawn, or without the permission to send for this number
        "token": (0, 3, 10, 190, 131005, *range(200, 300)),
        # a policy, a restriction or a bill: the account's, or the customer's wish (some come as
        # 403); a template or parameter that is wrong; a file Meta cannot use
        "rejected": (
            100, 368, 130472, 130497, 131008, 131009, 131031, 131042, 131045, 131049, 131050,
            131051, 131052, 131053, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016,
            132068, 132069, 133010,
        ),
        # not on WhatsApp, ourselves, not on a test number's list, or only reachable by number
        "invalid_recipient": (131021, 131026, 131030, 131062),
        "temporary": (1, 2, 131000, 131016, 131057),
    },
    # One message in six seconds to the same person; other limits are lifted within a minute or so.
    pauses={131056: 6.0},
)  # fmt: skip
