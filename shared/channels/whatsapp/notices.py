"""The fields that are no messages: calls, what a person set, a new user id, and facts about the
account.

Sources: Meta, "WhatsApp webhooks reference" (one page a field), "Calling API", "Business-scoped
user IDs" (editions of spring and summer 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from shared.channels.whatsapp.content import Content
from shared.channels.whatsapp.items import Setting, build
from shared.channels.whatsapp.people import identity_of, sender_of
from shared.channels.wire import list_at, mapping_at, need, text_at
from shared.errors import Unreadable
from shared.events import Call, MessageReceived

# What these tell is of no use to a desk: a phone's old chats and address book, members of a group,
# how good a template is thought to be.
IGNORED: Final = frozenset({
    "history", "smb_app_state_sync", "group_lifecycle_update", "group_participants_update",
    "group_settings_update", "group_status_update", "message_template_quality_update",
    "message_template_components_update", "template_category_update",
    "template_correct_category_detection", "business_capability_update",
    "account_settings_update", "payment_configuration_update", "tracking_events",
    "automatic_events", "flows", "partner_solutions",
})  # fmt: skip
# Facts an operator has to know; these words among them are good news, or none.
FACTS: Final = frozenset({
    "account_update", "account_alerts", "account_review_update", "business_status_update",
    "message_template_status_update", "phone_number_name_update", "phone_number_quality_update",
    "security",
})  # fmt: skip
_WELL: Final = frozenset({
    "APPROVED", "REINSTATED", "UNPAUSED", "PENDING", "PENDING_DELETION", "IN_APPEAL",
    "VERIFIED_ACCOUNT", "PARTNER_ADDED", "PARTNER_APP_INSTALLED", "AD_ACCOUNT_LINKED",
    "UPGRADE", "ONBOARDING", "THROUGHPUT_UPGRADE", "UNFLAGGED", "DEFERRED", "REINSTATE",
    "ACCOUNT_RECONNECTED", "MM_LITE_TERMS_SIGNED", "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
    "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", "VOLUME_BASED_PRICING_TIER_UPDATE",
})  # fmt: skip
# Events whose outcome stands deeper: without it nobody knows whether it is good news.
_OUTCOMES: Final = (
    ("ban_info", "waba_ban_state"), ("partner_client_certification_info", "status"),
)  # fmt: skip
_CAUSES: Final = (("disconnection_info", "reason"), ("violation_info", "violation_type"))


def fact(field: str, value: Any) -> str:
    """What an operator should hear of a fact about the account; empty where all is well."""
    words = [text_at(value, name) for name in ("event", "decision", "alert_type")]
    outcomes = [text_at(mapping_at(value, part), name) for part, name in _OUTCOMES]
    decisive = {word for word in (outcomes if any(outcomes) else words) if word}
    if decisive and decisive <= _WELL:
        return ""
    about = [text_at(value, name) for name in
             ("message_template_name", "display_phone_number", "phone_number", "reason",
              "requested_verified_name", "current_limit", "alert_description")]  # fmt: skip
    about += [text_at(mapping_at(value, part), name) for part, name in _CAUSES]
    about += [text_at(each, "restriction_type") for each in list_at(value, "restriction_info")]
    told = " ".join(word for word in (*words, *outcomes, *about) if word and word != "NONE")
    return f"{field}: {told or 'see its content'}. Look into the WhatsApp Manager, then discard"


def call(item: Any, around: Setting) -> MessageReceived | None:
    """A call of a customer's that is over; None for one of ours, and for one that is under way.
    Raises Unreadable, naming the field."""
    id, event = need(item, "id"), text_at(item, "event")
    if event != "terminate" or text_at(item, "direction") == "BUSINESS_INITIATED":
        return None
    sender = sender_of([text_at(item, "from"), text_at(item, "from_user_id")], around.contacts)
    given = text_at(item, "duration")
    seconds = int(given) if given.isascii() and given.isdigit() and len(given) < 7 else 0
    if seconds:
        content = Content(f"[WhatsApp call of {seconds} s]", kind="call_ended")
        outcome = Call(outcome="answered", duration=seconds)
    else:
        content = Content("[missed WhatsApp call]", kind="call_missed")
        outcome = Call(outcome="missed")
    return build(item, id, content, sender, around, call=outcome)


def preference(item: Any, around: Setting) -> MessageReceived:
    """What somebody set about our messages: it waits for no answer. Raises Unreadable."""
    category, value = text_at(item, "category"), text_at(item, "value")
    sender = sender_of([text_at(item, "wa_id"), text_at(item, "user_id")], around.contacts)
    content = Content(
        f"[{text_at(item, 'detail') or f'{category}: {value}'}]",
        kind="auto_reply",
        attributes={"preference": {category: value}},
        automatic=True,
    )
    who = next(iter(map(str, sender.identities)), "")
    id = " ".join(("preference", who, category, value, text_at(item, "timestamp")))
    return build(item, id, content, sender, around)


def new_user_id(item: Any, around: Setting) -> MessageReceived:
    """Somebody's user id became another. Raises Unreadable, naming the field."""
    ids: Mapping[str, Any] = mapping_at(item, "user_id")
    old, new = identity_of(text_at(ids, "previous")), identity_of(text_at(ids, "current"))
    if old is None or new is None:
        raise Unreadable("user_id.previous or user_id.current is missing or is no user id")
    found = sender_of([text_at(item, "wa_id"), old.value], around.contacts)
    rest = (each for each in found.identities if each != old)
    sender = msgspec.structs.replace(
        found, identities=tuple(dict.fromkeys((*rest, new))), former=old
    )
    content = Content(
        f"[{text_at(item, 'detail') or 'their user id changed'}]",
        kind="auto_reply",
        attributes={"system": "user_id_update"},
        automatic=True,
    )
    id = " ".join(("user_id", old.value, new.value, text_at(item, "timestamp")))
    return build(item, id, content, sender, around)
