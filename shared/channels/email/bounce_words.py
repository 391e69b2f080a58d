"""What mail servers call their bounces: senders, subjects and first words, by language.

Gathered from the programs' own templates (Postfix, Exim, Sendmail, qmail, Courier, Exchange and
Outlook, Domino, GroupWise, Gmail, Yahoo, IMail, PMDF, m-FILTER …) and from RFC 3464's examples. No
word is proof by itself: anybody may write "not delivered", a carrier above all.
`bounces.py` weighs.
"""

from __future__ import annotations

import re
from typing import Final


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{word})" for word in words), re.IGNORECASE)


# Nobody but a mail server writes under these names.
DAEMONS: Final = re.compile(
    r"(?:mailer[-_.]?(?:daemon|deamon)|mail[-_.]?(?:daemon|deamon)|maildelivery|mail-delivery"
    r"|mail[-_.]?delivery[-_.]?(?:system|subsystem|agent|service)|microsoftexchange[0-9a-f]{20,}"
    r"|mdaemon|bounce-?handler)(?:[-+._=].*)?",
    re.IGNORECASE,
)
# People may read these, and their servers write under them.
POSTMASTERS: Final = re.compile(
    r"(?:post[-_.]?master|mail[-_.]?admin(?:istrator)?|mail[-_.]?system|mmdf|pmdf|mta|daemon"
    r"|mailer)(?:[-+._=].*)?",
    re.IGNORECASE,
)
SENDER_NAMES: Final = _any(
    r"mail deliver(?:y|) (?:sub)?system", r"mail delivery (?:agent|service|software)",
    r"internet mail delivery", r"system administrator", r"systemadministrator",
    r"administrateur syst[èe]me", r"mail administrator", r"mailer-daemon", r"^postmaster",
    r"^microsoft (?:outlook|exchange)$", r"^mail system", r"delivery reports?$",
)  # fmt: skip

SUBJECTS: Final = _any(
    # en
    r"undeliver(?:able|ed)", r"non-?deliver(?:y|able)", r"not (?:be )?delivered\b",
    r"^\W*(?:mail |message |e-?mail |permanent |final )?delivery (?:status|has failed|failed|fail"
    r"|failure|error|problem|delayed|delay|notification|report|unsuccessful|temporarily|warning)",
    r"^\W*(?:mail|message|e-?mail) (?:delivery|system error|status - undeliverable|failed|failure"
    r"|error|returned|bounced|rejected|not sent|blocked|quota)",
    r"returned (?:mail|e-?mail|message)", r"return(?:ed|ing)? (?:message )?to sender",
    r"failure (?:notice|notification|delivery)", r"^\W*fail(?:ed|ure) (?:mail|delivery|e-?mail)",
    r"notice: mail delivery", r"^ndn:", r"^ndr:", r"could(?: no|n['’])t (?:be )?(?:deliver|send)",
    r"could not send message", r"(?:unable to|cannot|can['’]t) deliver", r"delivery failure",
    r"^\W*(?:user unknown|unknown user|invalid (?:recipient|address)|mailbox (?:full|unavailable))",
    r"error (?:sending|delivering|in) (?:your )?(?:e-?mail|message)", r"mail rejected",
    r"e-?mail (?:you sent|address) .{0,40}(?:rejected|blocked|undeliver|not (?:valid|found))",
    r"message you sent blocked", r"delayed mail", r"still being retried", r"mail (?:is )?delayed",
    r"delivery delayed", r"message delayed", r"rejected posting", r"bounced mail",
    # nl
    r"onbestelbaar", r"onbestelbare", r"niet (?:worden )?(?:be|af)geleverd",
    r"niet (?:kunnen |kon )?(?:worden )?bezorgd", r"bezorging (?:is )?(?:mislukt|vertraagd)",
    r"aflevering (?:is )?(?:mislukt|vertraagd)", r"bestelling van (?:het )?bericht mislukt",
    # de
    r"unzustellbar", r"nicht zugestellt",
    r"zustellung .{0,30}(?:fehlgeschlagen|verz[öo]gert|nicht)",
    r"zustellungsfehler", r"zustellfehler", r"fehler bei (?:der )?nachrichten?(?:zustellung|über)",
    r"mail(?:zustellung|-zustellung)", r"verz[öo]gerte (?:zustellung|e-?mail|nachricht)",
    r"nachricht nicht zustellbar", r"rückläufer",
    # fr
    r"non[- ]?(?:remis|distribu|d[ée]livr|livr)",
    r"[ée]chec de (?:la )?(?:remise|distribution|livraison)",
    r"[ée]chec d['’](?:envoi|acheminement)",
    r"(?:remise|distribution) (?:retard[ée]e|diff[ée]r[ée]e|impossible)",
    r"n['’]a pas pu [êe]tre (?:remis|distribu|d[ée]livr|envoy)", r"avis de non[- ]remise",
    # es, pt, it
    r"no se (?:puede|pudo|ha podido) entregar", r"error (?:de|en la) entrega", r"no entregad[oa]",
    r"notificaci[óo]n de (?:estado|error) de (?:la )?entrega", r"devuelt[oa]", r"fallo de entrega",
    r"n[ãa]o (?:foi |[ée] poss[íi]vel |pode ser )?entreg", r"falha (?:na|de|no) (?:entrega|envio)",
    r"mensagem devolvida", r"non (?:recapitabile|recapitato|consegnat[oa]|inoltrabile)",
    r"mancata consegna", r"(?:consegna|recapito) (?:non riuscit[ao]|fallit[ao]|impossibile)",
    r"impossibile (?:recapitare|consegnare)", r"avviso di mancat",
    # pl, sv, da, nb, fi, cs, hu, ru, ja, zh
    r"niedostarczaln", r"nie (?:można|udało się|został[ao]?) (?:dostarcz)",
    r"zwrot (?:poczty|wiadomości)",
    r"kan (?:inte|ikke) lever", r"ikke (?:leveret|levert)", r"inte levererats", r"olevererbar",
    r"g[åa]r inte att leverera", r"uleverbar", r"toimitus ep[äa]onnistui", r"ei voitu toimittaa",
    r"toimittamaton", r"nedoručiteln", r"nelze doručit", r"kézbesíthetetlen", r"nem kézbesíthető",
    r"недоставлен", r"не (?:может быть )?доставлен", r"недоставка", r"не удалось доставить",
    r"配信(?:不能|エラー|できません)", r"送信(?:エラー|できません)",
    r"退信", r"无法(?:送达|投递)", r"系统退信",
)  # fmt: skip

# The notices themselves. Looked for in the first part of the text, above the returned mail.
NOTICES: Final = _any(
    # qmail, Exim, Postfix, Sendmail, Courier, MMDF, PMDF
    r"this is the .{1,40} program at", r"this message was created automatically by",
    r"this is the mail system at host", r"this is the postfix program", r"mail delivery software",
    r"i['’]m sorry to have to inform you", r"i['’]m afraid i wasn['’]t able to deliver",
    r"-{3,} ?the following addresses had", r"-{3,} ?transcript of session",
    r"had (?:permanent|delivery|transient) .{0,12}errors",
    r"this is a delivery status notification", r"mail[- ]system .{0,20}(?:could not|was unable)",
    r"unable to deliver (?:your|the|this|a)", r"(?:could|can) ?not (?:be )?deliver(?:ed)?",
    r"was (?:not|n['’]t) (?:able to be )?deliver", r"were (?:not|n['’]t) deliver",
    r"has (?:not|n['’]t) (?:yet )?been (?:successfully )?deliver",
    r"not be(?:en)? (?:successfully )?(?:delivered|sent) to",
    r"did not reach the following", r"not able to deliver", r"undeliverable to",
    r"undelivered mail",
    r"delivery (?:to|of|for) .{1,80}(?:failed|has failed|was delayed|delayed|did not)",
    r"delivery has failed",
    r"delivery (?:failed|failure|error|attempt|problem|temporarily)",
    r"delivery to the following recipients?",
    r"failed to deliver", r"failed (?:recipients?|addresses)",
    r"(?:wasn['’]t|isn['’]t|couldn['’]t be) delivered",
    r"returned (?:mail|to (?:you|sender)|as undeliver)", r"is being returned", r"returned message",
    r"message (?:was )?(?:rejected|refused|blocked|bounced) ",
    r"rejected by the (?:recipient|remote|destination)",
    r"recipient (?:address(?:es)? )?(?:was |were )?(?:rejected|refused|affected|invalid)",
    r"(?:user|recipient|mailbox|address|account)(?:\(s\))? (?:\w+ )?(?:is )?(?:unknown"
    r"|not (?:found|known|recognized|listed|valid)|disabled|does(?: not|n['’]t) exist|unavailable"
    r"|full|over quota|inactive|suspended)",
    r"unknown (?:user|recipient|address|mailbox)",
    r"no such (?:user|person|recipient|address|mailbox)",
    r"invalid (?:user|recipient|(?:final )?delivery userid|address|mailbox)",
    r"(?:mailbox|quota) (?:is )?(?:full|exceeded|unavailable)",
    r"following (?:\w+ ){0,3}(?:recipients?|address(?:es)?|users?)", r"failure reasons?",
    r"original message follows",
    r"reporting-mta:", r"final-recipient:", r"diagnostic (?:code|information)",
    r"smtp (?:error|command|protocol)",
    r"error message below",
    r"your (?:e-?mail |mail )?message .{0,60}(?:not|fail|reject|delay|could)",
    r"host .{3,80} said:",
    r"will (?:be retried|keep trying|continue to (?:try|be)|try again)",
    r"still (?:trying|being retried|in the queue)",
    r"warning message only", r"do not need to resend", r"message (?:is|has been|was) delayed",
    r"mail loop|too many hops",
    # nl
    r"niet (?:worden |kunnen worden |kon worden )?(?:be|af)geleverd", r"niet (?:worden )?bezorgd",
    r"onbestelbaar",
    r"kan(?: het bericht)? niet (?:worden )?(?:be|af)lever",
    r"bezorging .{0,60}(?:mislukt|vertraagd)", r"niet bereikt",
    # de
    r"nicht (?:zugestellt|übermittelt|ausgeliefert|gesendet) werden",
    r"konnte .{0,80}nicht .{0,40}(?:zugestellt|zustellen|übermittelt|ausgeliefert)",
    r"unzustellbar", r"fehler bei der .{0,20}zustellung",
    r"automatisch (?:von|vom|erzeugt|erstellt|generiert)",
    r"zustellung .{0,60}(?:fehlgeschlagen|verzögert|nicht)",
    # fr
    r"n['’](?:a|ont) (?:pas )?pu [êe]tre (?:remis|distribu|d[ée]livr|envoy|achemin)",
    r"[ée]chec de (?:la )?(?:remise|distribution|livraison)",
    r"impossible de (?:remettre|distribuer|d[ée]livrer)", r"non remis",
    r"boîte (?:aux lettres )?(?:pleine|inconnue)",
    # es, pt, it
    r"no se (?:pudo|puede|ha podido|pudieron) entregar", r"no ha podido (?:ser )?entreg",
    r"error en la entrega", r"n[ãa]o (?:p[ôo]de|foi|pode) .{0,20}entreg",
    r"falha (?:na|de|no) (?:entrega|envio)",
    r"non (?:[èe] stato possibile|pu[òo] essere) .{0,20}(?:consegn|recapit|inoltr)",
    r"impossibile (?:recapitare|consegnare)",
    # pl, sv, da, nb, fi, cs, hu, ru, ja, zh
    r"nie (?:można|udało się|został[ao]?) .{0,20}dostarcz", r"kunde inte levereras",
    r"kunne ikke (?:leveres|afleveres)", r"gick inte att leverera",
    r"ei voitu toimittaa", r"nelze doručit", r"nem (?:kézbesíthető|sikerült)",
    r"не (?:может|удалось|могло|было) .{0,20}(?:быть )?(?:доставл|отправл)", r"недоставлен",
    r"(?:送信|配信|配送)(?:できません|されません|に失敗|エラー)", r"自動的に生成",
    r"見つかりません", r"ありません", r"无法(?:送达|投递|发送)",
    r"退信",
)  # fmt: skip

DELAYED: Final = _any(
    r"delayed", r"\(delay\)", r"will be retried", r"will keep trying",
    r"will (?:continue to try|be re-?attempted|try again|retry)",
    r"not yet been delivered", r"still being retried", r"still trying",
    r"could not send message for past",
    r"temporar(?:y|ily) (?:problem|failure|error|unable|deferred)", r"transient non-fatal",
    r"warning message only",
    r"do not need to resend", r"remain(?:s|ed)? in the queue", r"queued for",
    r"continue (?:trying|attempting)",
    r"vertraagd", r"verz[öo]gert", r"verz[öo]gerung", r"retard[ée]", r"diff[ée]r[ée]", r"retrasad",
    r"atrasad", r"ritardat[ao]",
    r"opóźnion", r"fördröjd", r"försenad", r"forsinket", r"viivästy", r"задерж",
)  # fmt: skip

FINAL: Final = _any(
    r"giv(?:en|ing) up", r"permanent(?:ly)?\b.{0,20}(?:error|fail|fatal|reject)?",
    r"failed permanently", r"fatal error",
    r"no further attempts", r"will not be (?:retried|attempted)",
    r"(?:has|have) (?:been )?(?:failed|expired|rejected)",
    r"undeliver(?:able|ed)", r"could not be delivered", r"returned to sender",
    r"retry timeout exceeded", r"unknown user|user unknown",
    r"endgültig", r"definitief", r"définiti",
)  # fmt: skip

# Below these lines stands the mail that came back, and no longer the server's words. Compared with
# the beginning of a line, without what is drawn around it.
RETURNED_BELOW: Final = re.compile(
    r"(?:(?:this is |here is )?(?:a )?copy of (?:the|your) (?:message|mail|e-?mail)"
    r"|below this line is a copy"
    r"|(?:original|returned|unsent|undelivered|bounced) (?:message|mail)\W*"
    r"(?:follows|below|is|headers?|text|$)"
    r"|(?:possibly )?truncated original|(?:message )?headers? (?:of the original|follows?)"
    r"|oorspronkelijke kopteksten|the headers? of the original|received:|return-path:)",
    re.IGNORECASE,
)
DRAWN: Final = "-=*_ >|\t"
