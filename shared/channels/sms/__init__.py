"""Text messages by Twilio, Vonage and Telnyx: what people write comes in, replies go out.

A text's sender is what its network let through: asserted. Names and short codes are machines':
they get no identity, and nothing waits for an answer that could not be sent.
"""

from __future__ import annotations

from shared.channels.sms.telnyx import TelnyxInbound
from shared.channels.sms.telnyx_send import TelnyxOutbound
from shared.channels.sms.vonage import VonageInbound
from shared.channels.sms.vonage_send import VonageOutbound

__all__ = ["TelnyxInbound", "TelnyxOutbound", "VonageInbound", "VonageOutbound"]
