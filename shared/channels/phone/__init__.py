"""Telephone by Twilio Voice: calls ring at the desk, and each leaves one outcome.

Sources: twilio.com/docs/voice/twiml (Twilio's request to your application), …/twiml/dial,
…/twiml/record, and "Call resource: statusCallback". docs/channels/phone.md shows the set-up.
"""

from __future__ import annotations

from shared.channels.phone.inbound import TwilioInbound

__all__ = ["TwilioInbound"]
