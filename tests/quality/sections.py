"""What is told of a split: its tables, charts and lists, from what was measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.dedup import data
from tests.quality.baselines import Alike
from tests.quality.chart import Chart, Line
from tests.quality.figures import Curve, Judged, Scored, by_language, curve, scored
from tests.quality.measure_levels import SAME_NEED, Merge, Played
from tests.quality.measure_triage import MOST_FLAGGED, Danger, Triaged
from tests.quality.readers import OURS, READER, Compared, compared
from tests.quality.report import Block, Drawn, Listed, Section, Table
from tests.quality.scenes import Pair, Scene, Truth, pairs

AIM = (
    "Aimed at, on the test split: same person, same need: precision 0.995 and recall 0.95; same "
    "incident: F1 0.90; a life in danger: recall 0.99 with at most 15 % flagged."
)
LEAST_POSITIVES = 10
"""Of a language, for its figures to be told."""
RIGHT = 0.95
"""The precision at which ways are held against each other."""
_SCORES = ("precision", "recall", "F1")
_MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured of a split. `baselines`: by name, judged at the limit that is best on
    the dev split, that limit, and the curve. `again`: scenes as a second reader labelled them."""

    split: str
    scenes: Sequence[Scene]
    played: Played
    labelled: Mapping[str, Sequence[Judged]]
    swept: Mapping[float, Sequence[Judged]]
    triaged: Triaged
    baselines: Mapping[str, tuple[Scored, float, Curve]]
    again: Sequence[Scene]


def own_pairs(scenes: Sequence[Scene]) -> list[Pair]:
    """Pairs of contacts of one person: what the baselines are asked."""
    return [pair for pair in pairs(scenes) if pair.same_person]


def baseline(
    alike: Alike, dev: Sequence[Pair], asked: Sequence[Pair]
) -> tuple[Scored, float, Curve]:
    """A baseline on the asked pairs, at the limit at which its F1 is best on those of dev."""
    limit = _curve(alike, dev).best
    judged = [
        Judged(
            pair.second.scene,
            pair.second.language,
            pair.truth is Truth.SAME_NEED,
            alike(pair.first.text, pair.second.text) >= limit,
        )
        for pair in asked
    ]
    return scored(judged), limit, _curve(alike, asked)


def sections(found: Measured) -> Iterator[Section]:
    """What is told of a split."""
    name = f"{found.split} split"
    yield Section(
        f"{name}: levels",
        [
            "By text alone: no contact names an agency or a service. Every step works with what "
            "the one before made of it. Pairs are those within a scene; 95 % intervals by "
            "bootstrap over scenes (1,000 resamples).",
            _levels(found),
            AIM,
            "The last column: F1 where cases are as labelled, which tells what the steps before "
            f"cost. There are {found.played.incidents} incidents; {found.played.strangers:,} pairs "
            "of cases of two scenes are in one, which nothing labels (all scenes are played on one "
            "day).",
        ],
    )
    yield Section(f"{name}: levels by language of the later contact", [_languages(found)])
    reader = compared(found.scenes, found.again, found.played)
    yield Section(f"{name}: how far a careful reader comes", list(_reader(reader)))
    yield Section(
        f"{name}: same person, same need, beside plain ways",
        [
            f"Asked of the {len(own_pairs(found.scenes)):,} pairs of contacts of one person. Plain "
            "ways at the limit at which their F1 is best on the dev split: 0 calls everything the "
            "same, which F1 likes where most pairs are. A false merge loses somebody, so Mawja as "
            "it is shipped prefers precision; the last column is the highest recall that any "
            f"limit gives with a precision of {RIGHT} or more.",
            _beside(found),
            Drawn(f"same-need-{found.split}", _need_chart(found)),
        ],
    )
    yield Section(f"{name}: what a text says", _triage(found.triaged))
    yield Section(f"{name}: a life in danger", list(_danger(found)))
    yield Section(f"{name}: false merges", list(_merges(found)))


def danger_blocks(
    name: str, title: str, ways: Mapping[str, Danger], target: tuple[float, float] | None
) -> list[Block]:
    """A table and a chart of recall against the share that is flagged."""
    limit = data.rules().life_enough
    rows = [
        (
            way,
            f"{one.shipped.positives:,} of {one.shipped.of:,}",
            str(one.shipped.recall),
            str(one.shipped.flagged),
            f"{one.at_most:.3f}",
            f"{one.curve.flagged_at(0.99):.3f}",
        )
        for way, one in ways.items()
    ]
    columns = (
        "",
        "in danger",
        f"recall (from {limit})",
        "flagged",
        f"recall at {MOST_FLAGGED:.0%} flagged",
        "flagged for recall 0.99",
    )
    lines = [
        Line(
            way,
            thinned(zip(one.curve.flagged, one.curve.recall, strict=True)),
            (one.shipped.flagged.value, one.shipped.recall.value),
        )
        for way, one in ways.items()
    ]
    chart = Chart(title, "share flagged", "recall (dot: as shipped)", lines, target)
    return [Table(columns, rows), Drawn(name, chart)]


def thinned(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some hundreds of points, the first and the last among them."""
    every = [(float(across), float(up)) for across, up in points]
    step = max(1, len(every) // _MOST_POINTS)
    return [*every[:-1:step], *every[-1:]]


def level_row(name: str, found: Scored) -> tuple[str, ...]:
    """A level in a row."""
    figures = (found.precision, found.recall, found.f1)
    return (name, f"{found.positives:,} of {found.of:,}", *map(str, figures))


def _levels(found: Measured) -> Table:
    rows = []
    for level, judged in found.played.levels.items():
        labelled = found.labelled.get(level)
        last = str(scored(labelled).f1) if labelled else ""
        rows.append((*level_row(level, scored(judged)), last))
    return Table(("level", "pairs that are", *_SCORES, "F1, labelled cases"), rows)


def _languages(found: Measured) -> Table:
    rows = []
    for level, judged in found.played.levels.items():
        for code, one in by_language(judged, LEAST_POSITIVES).items():
            figures = (one.precision, one.recall, one.f1)
            rows.append((f"{level} · {code}", str(one.positives), *map(str, figures)))
    return Table(("level · language", "positives", *_SCORES), rows)


def _reader(found: Compared) -> Iterator[Block]:
    yield (
        f"{found.scenes} scenes ({found.contacts:,} contacts) were labelled a second time, by a "
        "reader who saw each scene whole but no labels; below each of the reader's figures is "
        "Mawja's on the same scenes, which decides on every contact as it comes. It tells where "
        "the labels themselves leave off: a target above the reader's figure asks for agreement "
        "with whoever wrote the scene, beyond what the texts tell."
    )
    rows = []
    for level, beside in found.levels.items():
        rows.append(level_row(f"{level} · {READER}", beside.reader))
        rows.append(level_row(f"{level} · {OURS}", beside.ours))
    yield Table(("level · who", "pairs that are", *_SCORES), rows)
    dangers = [
        (who, f"{one.positives:,} of {one.of:,}", str(one.recall), str(one.flagged))
        for who, one in found.life.items()
    ]
    yield Table(("a life in danger, contact by contact", "in danger", "recall", "flagged"), dangers)


def _beside(found: Measured) -> Table:
    every = [
        (name, f"{limit:.2f}", one, float(along.recall[along.precision >= RIGHT].max(initial=0)))
        for name, (one, limit, along) in found.baselines.items()
    ]
    ours = scored(found.played.levels[SAME_NEED])
    swept = [ours, *(scored(judged) for judged in found.swept.values())]
    most = max((s.recall.value for s in swept if s.precision.value >= RIGHT), default=0.0)
    every.append((OURS, f"{data.rules().need_same:.2f}", ours, most))
    rows = [
        (name, limit, str(one.precision), str(one.recall), str(one.f1), f"{recall:.3f}")
        for name, limit, one, recall in every
    ]
    return Table(("way", "limit", *_SCORES, f"recall at {RIGHT}"), rows)


def _need_chart(found: Measured) -> Chart:
    swept = [scored(judged) for judged in found.swept.values()]
    ours = scored(found.played.levels[SAME_NEED])
    lines = [
        Line(
            OURS,
            sorted((one.recall.value, one.precision.value) for one in swept),
            (ours.recall.value, ours.precision.value),
        )
    ]
    for name, (_, _, along) in found.baselines.items():
        # At a limit of 0 everything is called the same.
        told = along.limit > 0
        points = list(zip(along.recall[told], along.precision[told], strict=True))
        lines.append(Line(name if points else f"{name} (finds none)", thinned(points)))
    return Chart(
        f"Same person, same need ({found.split} split)",
        "recall",
        "precision (dot: as shipped)",
        lines,
        (0.95, 0.995),
    )


def _triage(found: Triaged) -> list[Block]:
    rows = [
        ("language, where the source does not tell it", str(found.language)),
        (f"service, of {found.services:,} contacts that have one: the first", str(found.top_1)),
        ("… among the first three", str(found.top_3)),
        ("… told without asking a person", str(found.sure)),
        ("… the first, in those", str(found.sure_right)),
        ("kind (enquiry, complaint, request, feedback): told", str(found.kind_told)),
        ("… right, in those", str(found.kind_right)),
    ]
    languages = [
        (code, f"{one.positives:,}", str(one.precision), str(one.recall), str(one.f1))
        for code, one in found.languages.items()
    ]
    return [
        Table(("", "share of contacts"), rows),
        Table(("language told", "contacts", *_SCORES), languages),
    ]


def _danger(found: Measured) -> Iterator[Block]:
    yield (
        "In danger: as labelled, contact by contact; a need is in danger when one of its contacts "
        "says so. Dots are the shipped limit (life_enough in services/dedup/rules.yaml)."
    )
    yield from danger_blocks(
        f"life-{found.split}",
        f"A life in danger ({found.split} split)",
        found.triaged.danger,
        (MOST_FLAGGED, 0.99),
    )


def _merges(found: Measured) -> Iterator[Block]:
    merges = found.played.merges
    needs = len({_case_pair(merge) for merge in merges})
    yield (
        f"{len(merges)} pairs of contacts of two needs are in one case ({needs} pairs of needs). "
        + (
            "Nobody who works on the matcher reads the texts of this split, so they are not shown."
            if found.split == "test"
            else "With their texts, the earlier first."
        )
    )
    lines = []
    for merge in merges:
        first, second = merge.pair.first, merge.pair.second
        line = (
            f"{first.scene}: {first.id} ({first.need}) and {second.id} ({second.need}), "
            f"{merge.score:.2f}: {merge.reason}"
        )
        if found.split != "test":
            line += f": “{first.text}” / “{second.text}”"
        lines.append(line)
    yield Listed(lines)


def _case_pair(merge: Merge) -> tuple[str, str, str]:
    pair = merge.pair
    low, high = sorted(f"{one.person}/{one.need}" for one in (pair.first, pair.second))
    return pair.first.scene, low, high


def _curve(alike: Alike, asked: Sequence[Pair]) -> Curve:
    return curve(
        [alike(pair.first.text, pair.second.text) for pair in asked],
        [pair.truth is Truth.SAME_NEED for pair in asked],
    )


def headline(found: Measured) -> Table:
    """The few figures that the README tells."""
    rows = [level_row(name, scored(judged)) for name, judged in found.played.levels.items()]
    return Table(("level", "pairs that are", *_SCORES), rows)
