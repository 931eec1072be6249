"""How a text says how to stop. Pure.

A reply works only where the sender can be replied to: a name of letters cannot (3GPP TS 23.040,
9.1.2.5), so there a link is named, or a telephone line where there is no link.
"""

from services.broadcast.rules.book import Country, Kind, Rules

NEEDED = ("ar", "en")
"""Languages that every wording has; who writes in none that it has gets both."""
REPLY, LINK, PHONE = "reply", "link", "phone"
WAYS = (REPLY, LINK, PHONE)


class NoWayOut(ValueError):
    """The text must say how to stop, and there is nothing that it could say."""


def replies_work(rules: Rules, country: Country, agency: str, sender: str) -> bool:
    """Whether what people answer to `sender` there comes back to us."""
    return any(
        one.replies and (one.agency, one.name) == (agency, sender) and country.code in one.countries
        for one in rules.senders
    )


def line(
    rules: Rules,
    country: Country,
    kind: Kind,
    agency: str,
    sender: str,
    language: str,
    token: str = "",
) -> str:
    """What a text of `kind` says at its end, in `language` (BCP 47) or in Arabic and English; empty
    when it need not say anything. `token`: of the person's link (`links.make`), where the rules
    name what links begin with.

    Raises NoWayOut when neither reply, link nor telephone line exists: such a text must not go.
    """
    if kind not in rules.leaving.kinds:
        return ""
    if replies_work(rules, country, agency, sender):
        return _in(rules, REPLY, language)
    if rules.leaving.link and token:
        return _in(rules, LINK, language).replace("{link}", rules.leaving.link + token)
    if country.phone:
        return _in(rules, PHONE, language).replace("{phone}", country.phone)
    raise NoWayOut(
        f"texts to {country.code} must say how to stop: give leaving.link, a phone of the "
        "country, or a sender with replies: true"
    )


def _in(rules: Rules, way: str, language: str) -> str:
    wording = rules.leaving.wording[way]
    spoken = language.partition("-")[0].lower()
    if language in wording or spoken in wording:
        return wording.get(language) or wording[spoken]
    return " ".join(dict.fromkeys(wording[one] for one in NEEDED))
