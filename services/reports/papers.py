"""Reports as files: read once, told in any language and format. Nothing is written to disk."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import cast

from mawja.reports.v1.service_pb2 import Format

from services.dedup.catalogue import read as catalogue_of
from services.reports.work import Tell
from services.tools.afteraction.reading import Asked
from services.tools.afteraction.reading import read as read_surge
from services.tools.afteraction.saying import Saying
from services.tools.afteraction.telling import document as surge_document
from services.tools.reports.document import Document
from services.tools.reports.page import html
from services.tools.reports.pdf import pdf
from services.tools.reports.reading import read as read_campaign
from services.tools.reports.telling import document as campaign_document
from services.tools.reports.words import Language, Words

_SURGE_WORDS = "services.tools.afteraction"
_ENDS = {Format.FORMAT_HTML: "html", Format.FORMAT_PDF: "pdf"}


@dataclass(frozen=True, slots=True)
class Made:
    """A file."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Paper:
    """What was read, and how it is told. `made_ms`: Unix ms."""

    made_ms: int
    name: Callable[[tzinfo], str]
    tell: Callable[[Words, str], Document]
    package: str | None = None

    def file(
        self, language: str, written_as: "Format.ValueType", zone: tzinfo, zone_name: str
    ) -> Made:
        """The file. Raises ConfigError where PDFs can't be made."""
        told_in = cast("Language", language)
        words = (
            Words(told_in, zone, zone_name)
            if self.package is None
            else Words(told_in, zone, zone_name, package=self.package)
        )
        name = self.name(zone)
        made = self.tell(words, f"{name}.json")
        content = (
            html(made).encode()
            if written_as == Format.FORMAT_HTML
            else pdf(made, words.say("other_script"))
        )
        return Made(f"{name}-{language}.{_ENDS[written_as]}", content)


def surge(kafka: str, asked: Asked, catalogue: Path | None, at_ms: int, tell: Tell) -> Paper:
    """The report of a surge as of `at_ms`. Raises Away, ConfigError."""
    facts = read_surge(kafka, asked, at_ms, None, tell)
    known = catalogue_of(catalogue)
    agencies = {code: one.name for code, one in known.agencies.items()}
    services = {code: one.name for code, one in known.services.items()}

    def name(zone: tzinfo) -> str:
        at_s = (facts.since_ms or facts.made.at_ms) / 1000
        day = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
        return f"{'drill' if facts.drill else 'surge'}-{day:%Y%m%d}"

    return Paper(
        at_ms,
        name,
        lambda words, places: surge_document(facts, Saying(words, agencies, services), places),
        _SURGE_WORDS,
    )


def campaign(kafka: str, campaign_id: str, at_ms: int, tell: Tell) -> Paper:
    """The report of a campaign as of `at_ms`. Raises Away, ConfigError."""
    facts = read_campaign(kafka, campaign_id, at_ms, None, tell)
    return Paper(
        at_ms,
        lambda _: f"campaign-{campaign_id[:8]}",
        lambda words, places: campaign_document(facts, words, places),
    )
