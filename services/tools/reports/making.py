"""Makes the files of a campaign's report: reads the log, tells it, writes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.local.progress import Progress
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from services.tools.periods import zone_named
from services.tools.reports.page import html
from services.tools.reports.pdf import pdf, setter
from services.tools.reports.reading import campaign_of, made_json, made_of, read
from services.tools.reports.telling import document
from services.tools.reports.words import Language, Words

_PROGRESS_FROM = 50_000
"""Records that are read in a moment need no progress."""


def written(
    kafka: str,
    campaign: str,
    out: Path,
    languages: Sequence[Language],
    zone: str,
    again: Path | None,
    with_pdf: bool,
    progress: Progress,
) -> list[Path]:
    """Reads Kafka at `kafka`, writes the files into `out` and says which they are. `campaign`: an
    id, or its first letters; `zone`: by its IANA name; `again`: what an earlier report wrote of
    how far it had read. Raises ConfigError, Away."""
    told_in = zone_named(zone)

    def tell(done: int, total: int) -> None:
        if total >= _PROGRESS_FROM:
            progress.update(f"reading: {done:,} of {total:,} records ({done / total:.0%})")

    if with_pdf:
        # Before a long log is read for nothing.
        setter()
    campaign_id = campaign_of(kafka, campaign)
    earlier = None if again is None else made_of(again, campaign_id)
    facts = read(kafka, campaign_id, now_ms(), earlier, tell)
    progress.clear()
    name = f"campaign-{campaign_id[:8]}"
    places = f"{name}.json"
    files: dict[str, bytes] = {places: made_json(facts).encode()}
    for language in languages:
        words = Words(language, told_in, zone)
        made = document(facts, words, places)
        files[f"{name}-{language}.html"] = html(made).encode()
        if with_pdf:
            files[f"{name}-{language}.pdf"] = pdf(made, words.say("other_script"))
    return put(out, files)


def put(out: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes the files into a folder, made if need be. None stands under its name before all could
    be written: half a report must not be taken for one. Raises ConfigError."""
    begun = {file: out / f"{file}.part" for file in files}
    try:
        out.mkdir(parents=True, exist_ok=True)
        try:
            for file, content in files.items():
                begun[file].write_bytes(content)
            for file, written in begun.items():
                written.replace(out / file)
        finally:
            for written in begun.values():
                written.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} can't be written to: {error.strerror}") from error
    return [out / file for file in files]
