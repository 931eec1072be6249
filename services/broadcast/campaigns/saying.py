"""What a campaign says to a recipient: which of its texts, with which of their fields. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignText, Recipient

from services.broadcast.texts.fields import FieldError
from services.broadcast.texts.ladder import Choice, Ladder, LadderError
from services.broadcast.texts.template import TemplateError, gaps, parse
from services.runtime.errors import Violation
from services.runtime.privacy import Keyring

TOGETHER = "+"
"""Between the languages of a message that is in two."""


class Wording:
    """The texts of one campaign, or its corrections. Raises TemplateError, LadderError."""

    def __init__(self, texts: Sequence[CampaignText], language: str) -> None:
        templates = {text.language: parse(text.language, text.template) for text in texts}
        self._ladder = Ladder(templates, language)

    def choice(self, language: str) -> Choice:
        """What who speaks `language` ("" when not known) gets."""
        return self._ladder.choose(language)

    def missing(self, languages: Iterable[str]) -> tuple[str, ...]:
        """Those of an audience's languages that have no text."""
        return self._ladder.missing(languages)


def name_of(choice: Choice) -> str:
    """The language of a message, e.g. "ar" or "ar+en"."""
    return TOGETHER.join(choice.languages)


def said(choice: Choice, fields: Mapping[str, str], holds: Callable[[str], bool]) -> str:
    """The message. `holds`: whether a text can be written in the carrier's alphabet. Raises
    FieldError when a field is missing or can't stand there."""
    return choice.render(fields, holds)


def gaps_of(choice: Choice, fields: Mapping[str, str]) -> list[FieldError]:
    """Placeholders of a message that `fields` can't fill."""
    return [error for text in choice.texts for error in gaps(text, fields)]


def names_of(choice: Choice) -> frozenset[str]:
    """The fields that a message has places for."""
    return frozenset(field.name for text in choice.texts for field in text.fields)


def needs_of(choice: Choice) -> frozenset[str]:
    """Those of them that have no default in some place: who gets the message has them."""
    return frozenset(
        field.name for text in choice.texts for field in text.fields if field.default is None
    )


def problems(texts: Sequence[CampaignText], language: str, where: str) -> list[Violation]:
    """What is wrong with texts, each fault by language and place."""
    faults: list[Violation] = []
    for number, text in enumerate(texts):
        try:
            parse(text.language, text.template)
        except TemplateError as error:
            faults += [Violation(f"{where}[{number}].template", str(one)) for one in error.faults]
    if texts and not faults:
        try:
            Wording(texts, language)
        except LadderError as error:
            faults.append(Violation(where, str(error)))
    return faults


def texts_of(campaign: Campaign, correction: bool) -> Sequence[CampaignText]:
    """What is said: the campaign's texts, or its correction."""
    return campaign.plan.corrections if correction else campaign.plan.texts


def fields_of(recipient: Recipient, keyring: Keyring) -> dict[str, str]:
    """The other columns of a recipient's row. Raises Erased when they were."""
    if not recipient.sealed_fields:
        return {}
    read = json.loads(keyring.unseal("note", recipient.sealed_fields))
    return {str(name): str(value) for name, value in read.items()}
