"""Makes the files of a surge's booklet: reads the log, tells it, writes it."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from services.dedup.catalogue import read as catalogue
from services.local.progress import Progress
from services.runtime.clock import now_ms
from services.tools.afteraction.facts import Facts
from services.tools.afteraction.reading import Asked, made_json, made_of, read
from services.tools.afteraction.saying import Saying
from services.tools.afteraction.telling import document
from services.tools.reports.making import put
from services.tools.reports.page import html
from services.tools.reports.pdf import pdf, setter
from services.tools.reports.words import Language, Words

_PROGRESS_FROM = 50_000
"""Records that are read in a moment need no progress."""


def written(
    kafka: str,
    asked: Asked,
    out: Path,
    languages: Sequence[Language],
    zone: tuple[tzinfo, str],
    again: Path | None,
    with_pdf: bool,
    progress: Progress,
) -> list[Path]:
    """Reads Kafka at `kafka`, writes the files into `out` and says which they are. `zone`: with its
    name; `again`: what an earlier report wrote of what it was of and how far it had read, which
    then counts for `asked`. Raises ConfigError, Away."""

    def tell(done: int, total: int) -> None:
        if total >= _PROGRESS_FROM:
            progress.update(f"reading: {done:,} of {total:,} records ({done / total:.0%})")

    if with_pdf:
        # Before a long log is read for nothing.
        setter()
    earlier = None
    if again is not None:
        asked, earlier = made_of(again)
    facts = read(kafka, asked, now_ms(), earlier, tell)
    progress.clear()
    return put(out, files_of(facts, asked, languages, zone, with_pdf))


def files_of(
    facts: Facts,
    asked: Asked,
    languages: Sequence[Language],
    zone: tuple[tzinfo, str],
    with_pdf: bool,
) -> Mapping[str, bytes]:
    """The files by name: the page and the PDF in each language, and what they can be made again
    from. Raises ConfigError."""
    day = datetime.fromtimestamp((facts.since_ms or facts.made.at_ms) / 1000, UTC).astimezone(
        zone[0]
    )
    name = f"{'drill' if facts.drill else 'surge'}-{day:%Y%m%d}"
    places = f"{name}.json"
    files: dict[str, bytes] = {places: made_json(facts, asked).encode()}
    folder = os.environ.get("MAWJA_CATALOGUE")
    known = catalogue(Path(folder) if folder else None)
    agencies = {code: one.name for code, one in known.agencies.items()}
    services = {code: one.name for code, one in known.services.items()}
    for language in languages:
        words = Words(language, *zone, package=__package__ or "")
        made = document(facts, Saying(words, agencies, services), places)
        files[f"{name}-{language}.html"] = html(made).encode()
        if with_pdf:
            files[f"{name}-{language}.pdf"] = pdf(made, words.say("other_script"))
    return files
