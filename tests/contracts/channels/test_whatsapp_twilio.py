"""WhatsApp by Twilio: what its forms say, and what comes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.channels import Inbound, Parsed
from shared.channels.table import CHANNELS
from tests.contracts.channels import twilio_forms as forms
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
)
from tests.contracts.channels.messages import Case, body_of, check, name_of_case, table
from tests.contracts.channels.test_sms import by_twilio

ACCOUNTS = load(
    f"""
    accounts:
      desk-whatsapp:
        channel: whatsapp
        provider: twilio
        number: "+31880001234"
        auth_token: {forms.TOKEN}
        public_url: {forms.PUBLIC}
      desk-sms:
        channel: sms
        provider: twilio
        number: "+3197010000001"
        auth_token: {forms.TOKEN}
        public_url: {forms.PUBLIC}
      elsewhere-whatsapp:
        channel: whatsapp
        provider: twilio
        number: "+31880009999"
        auth_token: {forms.ELSEWHERE}
        public_url: {forms.PUBLIC}
    """
)
# One messaging service has one address for senders of both kinds: here, that of the text messages.
DESK = named(ACCOUNTS, "desk-sms")


def inbound() -> Inbound:
    found = CHANNELS["whatsapp"].providers["twilio"].inbound
    assert found is not None
    return found


def hear(case: Case) -> Parsed:
    request = by_twilio(body_of(case), case.get("path", ""), case.get("query", ""))
    inbound().verify(request, DESK)
    return inbound().parse(request, DESK, ACCOUNTS)


@pytest.mark.parametrize("case", table("whatsapp_twilio/messages.json"), ids=name_of_case)
def test_what_comes_of_it(case: Case) -> None:
    check(case, hear(case))


@pytest.mark.parametrize("behaviour", CHECKS, ids=name_of)
def test_behaviour(behaviour: Check) -> None:
    location = {case["name"]: case for case in table("whatsapp_twilio/messages.json")}["location"]
    behaviour(Door(inbound(), DESK, ACCOUNTS, sign=by_twilio, body=body_of(location)))


def test_the_window_is_a_day_from_the_receipt() -> None:
    (message,) = hear(table("whatsapp_twilio/messages.json")[0]).messages
    assert message.channel == "whatsapp"
    assert message.reply_window_closes_at == RECEIVED_AT + timedelta(hours=24)


def test_a_picture_keeps_the_name_twilio_fetches_it_by() -> None:
    cases = {case["name"]: case for case in table("whatsapp_twilio/messages.json")}
    (message,) = hear(cases["picture with caption"]).messages
    assert message.attachments[0].media_id == "ME1"
