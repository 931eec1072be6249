"""Which text a person gets. Pure.

The ladder is explicit and the same for everybody: the person's language; else the campaign's; else
Arabic and English together, Arabic first, in one message. A tag falls back within its language
before it leaves it (RFC 4647, 3.4): ar-AE to ar, hi-Latn-IN to hi-Latn to hi.

Who reads a language that the campaign has no text in gets something all the same, which is either
what the coordinator wants or an oversight. So the languages that an audience needs and the campaign
lacks are named, and the campaign is refused until they are written or openly accepted as missing.
Somebody whose language nobody knows lacks no translation.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.broadcast.texts.template import Template, render

BOTH = ("ar", "en")
"""What stands at the foot of the ladder, in this order."""

# One language under two codes (CLDR, languageAlias): what one source calls tl is another's fil.
_SAME = {"tl": "fil", "tgl": "fil", "iw": "he", "in": "id", "ara": "ar", "eng": "en"}


class Reason(enum.Enum):
    """Why a person gets this text."""

    OWN = "own"
    """It is in the person's language."""
    OWN_OTHERWISE = "own-otherwise"
    """It is in the person's language, as spoken elsewhere or in another script."""
    CAMPAIGN = "campaign"
    """There is none in the person's language: this is the campaign's."""
    BOTH = "both"
    """There is neither: these are Arabic and English together."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What people of one language get. `language` is theirs as given ("" where nobody knows it),
    `texts` the templates in the order in which they stand in the message."""

    language: str
    texts: tuple[Template, ...]
    reason: Reason

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the message."""
        return tuple(one.language for one in self.texts)

    @property
    def missing(self) -> bool:
        """Whether these people's language is known and has no text."""
        return bool(self.language) and self.reason in (Reason.CAMPAIGN, Reason.BOTH)

    def render(
        self,
        values: Mapping[str, str],
        holds: Callable[[str], bool],
        limits: Mapping[str, int] | None = None,
    ) -> str:
        """The message for a person; see `template.render`."""
        if len(self.texts) == 1:
            return render(self.texts[0], values, holds, limits)
        # The whole message travels in one alphabet: what it needs, each of its texts may use.
        plain = "\n".join(render(one, values, _anything, limits) for one in self.texts)
        if holds(plain):
            return plain
        return "\n".join(render(one, values, _nothing, limits) for one in self.texts)


def _anything(_text: str) -> bool:
    return True


def _nothing(_text: str) -> bool:
    return False


class LadderError(ValueError):
    """The campaign has no text for everybody; the message says what to write."""


class MissingTranslations(LadderError):
    """The audience needs languages that the campaign lacks, and nobody accepted that."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        super().__init__(
            f"there is no text in {', '.join(languages)}; write it, or accept that these people "
            "get the campaign's language or Arabic and English"
        )
        self.languages = languages


class Ladder:
    """The ladder of one campaign. `campaign` is its language, "" when it has none: then everybody
    without a text of their own gets Arabic and English.

    Raises LadderError when the ladder has no foot: a campaign needs a text in its language, or one
    in Arabic and one in English.
    """

    def __init__(self, templates: Mapping[str, Template], campaign: str) -> None:
        self._templates: dict[str, Template] = {}
        for template in templates.values():
            tag = _canonical(template.language)
            if tag in self._templates:
                raise LadderError(f"there are two texts in {template.language}; leave one out")
            self._templates[tag] = template
        self._known: dict[str, Choice] = {}
        self._foot = self._find_foot(campaign)

    def choose(self, language: str) -> Choice:
        """What a person of `language` (BCP 47, "" or "und": nobody knows it) gets."""
        if (known := self._known.get(language)) is not None:
            return known
        tag = _canonical(language)
        if tag == "und" or tag.startswith("und-"):
            tag = ""
        found = self._lookup(tag)
        if found is None:
            choice = Choice(tag and language, *self._foot)
        else:
            own = _canonical(found.language) == tag
            choice = Choice(language, (found,), Reason.OWN if own else Reason.OWN_OTHERWISE)
        if len(self._known) < _REMEMBERED:
            self._known[language] = choice
        return choice

    def missing(self, languages: Iterable[str]) -> tuple[str, ...]:
        """Those of the audience's `languages` that have no text, in order and each once."""
        lacking = (choice.language for choice in map(self.choose, languages) if choice.missing)
        return tuple(sorted(set(lacking)))

    def settle(
        self, languages: Iterable[str], *, accept_missing: bool = False
    ) -> dict[str, Choice]:
        """What each of the audience's `languages` gets, and why.

        Raises MissingTranslations unless every one has a text or `accept_missing` says openly that
        the others may do without.
        """
        needed = sorted(set(languages))
        lacking = self.missing(needed)
        if lacking and not accept_missing:
            raise MissingTranslations(lacking)
        return {language: self.choose(language) for language in needed}

    def _find_foot(self, campaign: str) -> tuple[tuple[Template, ...], Reason]:
        if campaign:
            found = self._lookup(_canonical(campaign))
            if found is not None:
                return (found,), Reason.CAMPAIGN
        both = tuple(self._templates[one] for one in BOTH if one in self._templates)
        if len(both) < len(BOTH):
            own = f"in {campaign}, the campaign's language, or " if campaign else ""
            raise LadderError(
                f"who has no text of their own would get none; write one {own}in Arabic and English"
            )
        return both, Reason.BOTH

    def _lookup(self, tag: str) -> Template | None:
        """RFC 4647 lookup: the tag, then without its last part, and so on."""
        while tag:
            if tag in self._templates:
                return self._templates[tag]
            tag = tag.rpartition("-")[0]
        return None


_REMEMBERED = 1_000


def _canonical(tag: str) -> str:
    first, dash, rest = tag.strip().lower().replace("_", "-").partition("-")
    return _SAME.get(first, first) + dash + rest
