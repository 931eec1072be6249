"""A recipient of a campaign as a message: whether it may go, by which carrier, in how many parts.

The rehearsal and the sending ask here, so that what was rehearsed is what happens.
"""

from typing import NamedTuple

from mawja.broadcast.v1.campaigns_pb2 import Campaign, Recipient
from mawja.broadcast.v1.events_pb2 import QueuedMessage

from services.broadcast import numbers, segments, wording
from services.broadcast.audiences.telephone import Numbers
from services.broadcast.campaigns.holding import held_back
from services.broadcast.campaigns.plans import lane_of
from services.broadcast.campaigns.saying import (
    Wording,
    fields_of,
    gaps_of,
    name_of,
    names_of,
    needs_of,
    said,
    texts_of,
)
from services.broadcast.routes import CarrierSpec, Routes
from services.broadcast.texts.fields import FieldError
from services.broadcast.texts.ladder import Choice
from services.broadcast.wording import Cut
from services.runtime import ids
from services.runtime.errors import Poison
from services.runtime.privacy import Erased, Keyring

CORRECTION_MS = 24 * 3_600_000
"""A correction may be sent so long after the recall, at least."""
FIELD_MISSING = "field-missing"
"""Why a message does not go that has a placeholder which the row can't fill."""
_REMEMBERED = 1_000
# Knows what numbers that differ in their last digits have in common: asking the numbering plans of
# each takes as long as giving it to its lane.
_LINES = Numbers("")


def message_id(campaign_id: str, person: bytes, correction: bool) -> str:
    """The one message that a campaign has for a person; its correction is another."""
    what = "campaign-correction" if correction else "campaign-message"
    return ids.derive(what, campaign_id, person.hex())


def obstacle(number: str) -> str:
    """As `numbers.obstacle`, for very many numbers."""
    found = _LINES.read(number)
    if isinstance(found, tuple) and found[0] == number:
        return found[1]
    return numbers.obstacle(number)


class Judged(NamedTuple):
    """`reason`: why it may not go, from the closed list; empty when it may, by `carrier`, under the
    name `sender`."""

    language: str
    reason: str = ""
    carrier: str = ""
    sender: str = ""
    cut: Cut | None = None
    number: str = ""
    held: bool = False
    """It could go, and the person is held back."""

    @property
    def parts(self) -> int:
        """How many parts it takes; 0 when it may not go."""
        return self.cut.parts.part_count if self.cut is not None else 0

    @property
    def text(self) -> str:
        """What is said, as it was written; empty when it may not go."""
        return self.cut.text if self.cut is not None else ""


class _Way(NamedTuple):
    """What people of one language get."""

    choice: Choice
    language: str
    fields: tuple[str, ...]


class People:
    """Judges the recipients of one campaign."""

    def __init__(
        self,
        campaign: Campaign,
        keyring: Keyring,
        routes: Routes,
        correction: bool = False,
    ) -> None:
        self._campaign = campaign
        plan = campaign.plan
        self._wording = Wording(texts_of(campaign, correction), plan.language)
        self._keyring = keyring
        self._routes = routes
        self._correction = correction
        self._lane = lane_of(campaign.plan)
        self.expires_ms = plan.expires_ms
        """Nothing is sent after, Unix time in milliseconds."""
        if correction:
            # What has to be taken back must reach people also after the campaign's own end.
            since_ms = campaign.ended.done_ms
            self.expires_ms = max(self.expires_ms, since_ms + CORRECTION_MS)
        self._ways: dict[str, _Way] = {}
        # By carrier, language and values: a place or a date is many people's.
        self._cuts: dict[tuple[str, ...], Cut] = {}

    def message_id(self, recipient: Recipient) -> str:
        """The recipient's message."""
        return message_id(self._campaign.campaign_id, recipient.person, self._correction)

    def judged(self, recipient: Recipient) -> Judged:
        """What becomes of a recipient, opt-outs and times aside."""
        plan = self._campaign.plan
        way = self._way(recipient.language)
        language = way.language
        try:
            number = self._keyring.unseal("number", recipient.sealed_number)
            carrier = obstacle(number) or self._routes.choose(
                number, language, plan.drill, recipient.person
            )
            if not isinstance(carrier, CarrierSpec):
                return Judged(language, carrier)
            cut = self._cut(way, recipient, carrier)
        except Erased:
            return Judged(language, "erased")
        except Poison:
            return Judged(language, "damaged")
        except segments.TextError:
            return Judged(language, "text-not-sendable")
        except ValueError:
            return Judged(language, FIELD_MISSING)
        if cut is None:
            return Judged(language, "no-text")
        held = not self._correction and held_back(
            plan, self._campaign.campaign_id, recipient.person
        )
        return Judged(language, "", carrier.name, carrier.sender, cut, number, held)

    def lacks_text(self, language: str) -> bool:
        """Whether a recipient's language is known and has no text."""
        return self._way(language).choice.missing

    def gaps(self, recipient: Recipient) -> list[FieldError]:
        """Placeholders that the recipient's fields can't fill; none of who can't be read."""
        way = self._way(recipient.language)
        if not way.fields:
            return []
        try:
            return gaps_of(way.choice, fields_of(recipient, self._keyring))
        except (Erased, Poison, ValueError):
            return []

    def fills(self, other: "People", language: str) -> bool:
        """Whether whoever can be told this in a language can be told `other`'s, too: it takes no
        field that this does not, and none that this does without."""
        own, others = self._way(language).choice, other._way(language).choice
        return names_of(others) <= names_of(own) and needs_of(others) <= needs_of(own)

    def _way(self, language: str) -> _Way:
        way = self._ways.get(language)
        if way is None:
            choice = self._wording.choice(language)
            way = _Way(choice, name_of(choice), tuple(sorted(names_of(choice))))
            if len(self._ways) < _REMEMBERED:
                self._ways[language] = way
        return way

    def _cut(self, way: _Way, recipient: Recipient, carrier: CarrierSpec) -> Cut | None:
        """What is said to a recipient, in parts; None when it is nothing. Raises Poison, TextError,
        ValueError for a field."""
        fields = fields_of(recipient, self._keyring) if way.fields else {}
        key = carrier.name, way.language, *[fields.get(name, "") for name in way.fields]
        known = self._cuts.get(key)
        if known is not None:
            return known
        wire = carrier.wire
        text = said(way.choice, fields, wire.holds)
        if not text.strip():
            return None
        found = wording.cut(text, self._campaign.plan.drill, wire)
        if len(self._cuts) >= _REMEMBERED:
            # The one that has been there longest; which values come again nobody knows.
            del self._cuts[next(iter(self._cuts))]
        self._cuts[key] = found
        return found

    def message(
        self, name: str, recipient: Recipient, judged: Judged, now_ms: int
    ) -> QueuedMessage:
        """The message called `name`, without its text: it waits in memory only, beside it."""
        plan = self._campaign.plan
        return QueuedMessage(
            message_id=name,
            person=recipient.person,
            lane=self._lane,
            language=judged.language,
            agency=plan.agency,
            drill=plan.drill,
            requested_ms=now_ms,
            expires_ms=self.expires_ms,
            parts=judged.parts,
            sealed_number=recipient.sealed_number,
            campaign_id=self._campaign.campaign_id,
            correction=self._correction,
            campaign_kind=plan.kind,
        )
