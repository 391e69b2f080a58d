"""The words of absence notices, receipts of tickets and answers, by language.

`AWAY` are the fixed words that Outlook, Exchange, Notes and mail providers put before the subject:
nobody types them, so they suffice. `ABSENT` people write too ("Afwezig bij bezorging"), so it
counts only beside another sign. The words of texts never count alone.
"""

from __future__ import annotations

import re
from typing import Final


def _any(*words: str) -> str:
    return "|".join(f"(?:{word})" for word in words)


# The subject of an answer or a forward: a person's, whatever it answers.
ANSWER: Final = re.compile(
    r"\s*(?:re|aw|antw|antwort|betr|sv|vs|odp|r|rif|réf|ref|rép|ynt|vá|答复|回复|返信"
    r"|fwd?|fw|wg|doorst|doorgestuurd|weitergeleitet|tr|enc|rv|i|pd)\s*(?:\[\d+\])?\s*[:：]",
    re.IGNORECASE,
)
AWAY: Final = re.compile(
    r"\W{0,5}(?:"
    + _any(
        r"auto(?:matic|mated)?[ _-]?(?:reply|response|answer|responder)", r"autoreply|autoresponse",
        r"out of (?:the )?office[ _-]?(?:auto|reply|response|message|notification|notice)\w*",
        r"automatisch(?:e)? (?:antwoord|reactie|beantwoording|bericht)",
        r"afwezigheids?(?:bericht|melding|assistent)",
        r"niet aanwezig - automatisch",
        r"autom(?:atische|\.) (?:antwort|r[üu]ckantwort|abwesenheit\w*|e-?mail-antwort)",
        r"abwesenheits(?:notiz|meldung|nachricht|assistent)", r"r[ée]ponse (?:automatique|auto)\b",
        r"absence du bureau",
        r"message (?:d['’]absence|automatique)", r"notification d['’]absence",
        r"respuesta autom[áa]tica",
        r"resposta autom[áa]tica", r"risposta automatica", r"automatyczna odpowied[źz]",
        r"odpowied[źz] automatyczna",
        r"auto(?:matiskt? )?svar", r"automatisk besvarelse", r"automaattinen vastaus",
        r"poissaoloviesti",
        r"automatick[áa] odpove[ďd]", r"automatick[áa] odpov[ěe][ďd]", r"automatikus v[áa]lasz",
        r"r[ăa]spuns automat",
        r"otomatik (?:yan[ıi]t|cevap)", r"автоматический ответ", r"автоответ(?:чик)?",
        r"автоматична відповідь",
        r"αυτόματη απάντηση", r"自動(?:応答|返信|回信)",
        r"自动(?:答复|回复)", r"자동 ?(?:회신|응답)",
    )
    + r")\s*(?:[:：\-–—(\[]|$|re:)",
    re.IGNORECASE,
)  # fmt: skip
ABSENT: Final = re.compile(
    _any(
        r"\bout of (?:the )?office\b", r"\booo\b", r"\boof\b",
        r"\baway from (?:my|the) (?:mail|office|desk|e-?mail)",
        r"\bon (?:vacation|holiday|leave|annual leave|maternity leave)",
        r"\bvacation (?:reply|message|notice)",
        r"\bafwezig", r"\bniet (?:aanwezig|op kantoor)", r"\b(?:met|op) (?:vakantie|verlof)",
        r"\bbuiten kantoor",
        r"\babwesen", r"\bnicht im (?:büro|hause?)", r"\bim urlaub", r"\bau[sß]+er haus",
        r"\babsen(?:t|ce)\b",
        r"\ben cong[ée]s?\b", r"\bfuera de (?:la )?oficina", r"\bausen(?:te|cia)\b",
        r"\bfuori (?:ufficio|sede)",
        r"\bassen(?:te|za)\b", r"\bpoza biurem", r"\bnieobecn",
        r"\bfr[åa]nvarande|\bfr[åa]nv[åa]ro", r"\bfrav[æa]r",
        r"\bikke p[åa] kontoret", r"\binte p[åa] kontoret", r"\bpoissa\b",
    ),
    re.IGNORECASE,
)  # fmt: skip
# What such a notice says and a customer does not: how else to reach somebody meanwhile.
ABSENCE: Final = re.compile(
    _any(
        r"(?:during|in) my absence", r"(?:limited|no) access to (?:my )?e-?mail",
        r"(?:on|upon|after) my return",
        r"(?:urgent|immediate) (?:matters?|issues?|assistance|queries"
        r"|cases?),? (?:please )?(?:contact|call|e-?mail)",
        r"will (?:reply|respond|answer|get back to you) (?:to your .{0,20} )?(?:when|as soon as|on"
        r"|upon|after)",
        r"tijdens mijn afwezigheid", r"bij (?:mijn )?(?:terugkomst|terugkeer)",
        r"wordt niet (?:automatisch )?(?:doorgestuurd|gelezen)",
        r"(?:voor|bij|in) (?:dringende|spoed\w*|urgente) .{0,30}(?:contact|bel|mail)",
        r"(?:beperkt|geen) toegang tot mijn",
        r"w[äa]hrend meiner abwesenheit", r"nicht weitergeleitet", r"in dringenden f[äa]llen",
        r"nach meiner r[üu]ckkehr",
        r"(?:en|pendant|durant) mon absence", r"[àa] mon retour", r"en cas d['’]urgence",
        r"durante mi ausencia",
        r"durante la mia assenza", r"durante a minha aus[êe]ncia", r"al mio rientro",
        r"a mi regreso",
        r"podczas mojej nieobecno[śs]ci", r"under min (?:fr[åa]nvaro|frav[æa]r)",
    ),
    re.IGNORECASE,
)  # fmt: skip
# A ticket system's receipt of what we wrote.
RECEIVED: Final = re.compile(
    _any(
        r"\b(?:have|has|['’]ve|was|were) (?:been )?(?:successfully )?received (?:your|the"
        r"|a) (?:new )?(?:support )?"
        r"(?:request|e-?mail|message|enquiry|inquiry|question|ticket|case)",
        r"\byour (?:support )?(?:request|ticket|case|enquiry|inquiry|e-?mail"
        r"|message) .{0,40}(?:has been|was|is)"
        r" (?:received|created|opened|logged|registered|assigned|updated|closed|solved|resolved)",
        r"\b(?:ticket|case|request) .{0,30}(?:created|received|opened|registered)",
        r"\b(?:hebben|heb) (?:wij |we )?(?:uw|je|jouw) (?:bericht|e-?mail|mail|vraag|aanvraag"
        r"|verzoek|melding) .{0,20}ontvangen",
        r"\b(?:uw|je|jouw) (?:bericht|e-?mail|mail|vraag|aanvraag|verzoek|melding"
        r"|ticket) .{0,40}(?:ontvangen|aangemaakt|geregistreerd)",
        r"\bontvangstbevestiging", r"\beingangsbest[äa]tigung",
        r"\bihre (?:anfrage|nachricht|e-?mail|mitteilung) .{0,30}(?:erhalten|eingegangen)",
        r"\bavons bien re[çc]u (?:votre|ta)", r"\baccus[ée] de r[ée]ception",
        r"\bvotre (?:demande|message|ticket) .{0,40}(?:re[çc]u|enregistr|cr[ée][ée])",
        r"\bhemos recibido (?:su|tu)", r"\bacuse de recibo",
        r"\babbiamo ricevuto (?:la (?:sua|tua)|il (?:suo|tuo))",
        r"\brecebemos (?:a sua|o seu|sua|seu)", r"\bvi har (?:tagit emot|mottatt|modtaget)",
        r"\botrzymali[śs]my",
    ),
    re.IGNORECASE,
)  # fmt: skip
AUTOMATED: Final = re.compile(
    _any(
        r"\bthis is an? auto(?:matic|mated|matically|-?)[ -]?(?:generated )?(?:reply|response"
        r"|acknowledge?ment|confirmation)",
        r"\bdit is een (?:automatisch|geautomatiseerd)e? (?:antwoord|reactie|bevestiging"
        r"|ontvangstbevestiging)",
        r"\bdies ist eine automatisch(?:e| generierte| erstellte| erzeugte) (?:antwort"
        r"|r[üu]ckantwort|best[äa]tigung|eingangsbest[äa]tigung)",
        r"\bceci est une r[ée]ponse automatique", r"\besta es una respuesta autom[áa]tica",
        r"\bquesta [èe] una risposta automatica",
    ),
    re.IGNORECASE,
)  # fmt: skip
