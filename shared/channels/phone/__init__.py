"""Telephone: calls ring at the desk, and each leaves one outcome.

Twilio and Telnyx (TeXML) are asked and answered alike (`inbound`, `outcomes`, `twiml`), Vonage in
its own words (`vonage`, `vonage_events`, `ncco`), an exchange in the house by `cti`. All of them
end in `lines` and `items`. docs/channels/phone.md shows the set-up.
"""

from __future__ import annotations

from shared.channels.phone.cti import CtiInbound
from shared.channels.phone.inbound import TwilioInbound
from shared.channels.phone.telnyx import TelnyxInbound
from shared.channels.phone.vonage import VonageInbound

__all__ = ["CtiInbound", "TelnyxInbound", "TwilioInbound", "VonageInbound"]
