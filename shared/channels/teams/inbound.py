"""The door side of Teams: one activity a request, under a token of Microsoft's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.teams import items, tokens
from shared.channels.teams.hosts import may_have_our_token
from shared.channels.teams.items import Setting
from shared.channels.wire import dump, load, mapping_at, text_at
from shared.errors import NotFound, Unreadable
from shared.events import MessageReceived

_MAX_BODY: Final = 1024 * 1024  # Teams keeps a message under 100 kB; cards may be larger
_INLINE: Final = Answer(body=b'{"status":200}', content_type="application/json")
# Nobody wrote to us by these: somebody joined, typed, or put the app on a shelf.
_SILENT: Final = frozenset((
    "conversationUpdate", "installationUpdate", "typing", "endOfConversation", "trace", "command",
    "commandResult", "contactRelationUpdate", "handoff",
))  # fmt: skip
_CLICKS: Final = frozenset((
    "adaptiveCard/action", "task/submit", "actionableMessage/executeAction", "fileConsent/invoke",
    "suggestedActions/submit",
))  # fmt: skip
_FEEDBACK: Final = "message/submitAction"
# Asked while somebody types or looks around: answered with nothing, and no contact.
_ASKED: Final = (
    "composeExtension/", "signin/", "config/", "tab/", "task/fetch", "search", "message/fetchTask",
    "handoff/",
)  # fmt: skip
_READ: Final = "application/vnd.microsoft.readReceipt"


class TeamsInbound:
    """Bot Framework activities of the channel `msteams`."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        raise NotFound(
            "Microsoft asks nothing before it posts: put this address into the bot's "
            "configuration as its messaging endpoint, and write to the bot"
        )

    def verify(self, request: WebhookRequest, account: Account) -> None:
        try:
            activity = load(request.body)
        except Unreadable:
            activity = None
        tokens.check(request, account, activity if isinstance(activity, dict) else None)

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        activity = load(request.body)
        if not isinstance(activity, dict) or not (type := text_at(activity, "type")):
            raise Unreadable("the body is not an activity: it has no `type`")
        answer = _INLINE if type == "invoke" else Answer()
        if reason := _unfit(activity, account):
            return Parsed(
                parked=[Parked(dump(activity), reason, text_at(activity, "id"))], answer=answer
            )
        return _read(activity, type, Setting(account, request.received_at), answer)


def _read(activity: Any, type: str, around: Setting, answer: Answer) -> Parsed:
    name = text_at(activity, "name")
    if type in _SILENT or (type == "invoke" and name.startswith(_ASKED)):
        return Parsed(answer=answer)
    if type == "event":
        seen = items.receipt(activity, around) if name == _READ else None
        return Parsed(statuses=[seen] if seen else [], answer=answer)
    return Parsed(list(_messages(activity, type, name, around)), answer=answer)


def _messages(activity: Any, type: str, name: str, around: Setting) -> Iterator[MessageReceived]:
    match type:
        case "message":
            yield items.message(activity, around)
        case "messageUpdate":
            yield items.message(activity, around, "edit")
        case "messageDelete":
            yield _withdrawn(activity, around)
        case "messageReaction":
            yield from items.reactions(activity, around)
        case "invoke" if name in _CLICKS:
            yield items.clicked(activity, around)
        case "invoke" if name == _FEEDBACK:
            yield items.feedback(activity, around)
        case _:
            yield items.unsupported(activity, around)


def _withdrawn(activity: Any, around: Setting) -> MessageReceived:
    return items.message(
        {**activity, "text": "[message deleted]", "attachments": []}, around, "revoke"
    )


def _unfit(activity: Any, account: Account) -> str:
    channel = text_at(activity, "channelId")
    if channel != "msteams":
        return f"the activity is of the channel {channel[:40]!r}: Regie takes those of Teams"
    if not may_have_our_token(text_at(activity, "serviceUrl"), account):
        return "the activity's serviceUrl is no service of Microsoft's: nothing could be answered"
    if not text_at(mapping_at(activity, "conversation"), "id"):
        return "the activity names no conversation"
    return ""
