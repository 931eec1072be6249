"""What the quality report reckons, draws and lays out, on small cases to check by hand."""

from xml.etree import ElementTree

import numpy as np
import pytest

from tests.quality import baselines, report
from tests.quality.chart import Chart, Line, svg
from tests.quality.figures import Judged, by_language, curve, scored, share
from tests.quality.report import Drawn, Listed, Section, Table
from tests.quality.sections import thinned


def judged(true: bool, found: bool, scene: str = "s1", language: str = "ar") -> Judged:
    return Judged(scene, language, true, found)


def test_precision_recall_and_f1() -> None:
    found = scored([judged(True, True)] * 6 + [judged(True, False)] * 2 + [judged(False, True)] * 4)
    assert (found.of, found.positives) == (12, 8)
    assert found.precision.value == pytest.approx(0.6)
    assert found.recall.value == pytest.approx(0.75)
    assert found.f1.value == pytest.approx(2 / 3)
    assert found.flagged.value == pytest.approx(10 / 12)


def test_of_one_scene_nothing_varies_and_of_unlike_ones_much_does() -> None:
    alone = share([("s1", True), ("s1", False)])
    assert (alone.low, alone.high) == (0.5, 0.5)
    unlike = share([(f"s{number}", number % 2 == 0) for number in range(20)])
    assert unlike.low < 0.35 < 0.65 < unlike.high


def test_contacts_of_one_scene_are_not_taken_for_independent() -> None:
    together = share([(f"s{number // 10}", number // 10 % 2 == 0) for number in range(200)])
    each = share([(f"s{number}", number % 2 == 0) for number in range(200)])
    assert together.high - together.low > 2 * (each.high - each.low)


def test_intervals_are_the_same_every_time() -> None:
    told = [(f"s{number}", number % 3 == 0) for number in range(30)]
    assert share(told) == share(told)


def test_where_nothing_is_found_there_is_no_precision() -> None:
    found = scored([judged(True, False), judged(False, False)])
    assert str(found.precision) == "–"
    assert found.recall.value == 0


def test_languages_of_few_positives_are_left_out() -> None:
    found = [judged(True, True, language="ar")] * 3 + [judged(True, True, language="en")] * 5
    found += [judged(False, True, language="hi")] * 9
    assert list(by_language(found, 3)) == ["en", "ar"]


def test_a_curve_takes_equal_scores_together() -> None:
    along = curve([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
    assert along.limit.tolist() == [0.9, 0.5, 0.1]
    assert along.recall.tolist() == [0.5, 1.0, 1.0]
    assert along.precision.tolist() == pytest.approx([1.0, 2 / 3, 0.5])
    assert along.best == 0.5
    assert along.recall_at(0.3) == 0.5
    assert along.recall_at(0.1) == 0
    assert along.flagged_at(0.9) == 0.75


def test_plain_ways_of_seeing_it() -> None:
    ways = dict(baselines.by_words())
    same, spelt, other = "الشارع غرقان", "الشارِع  غرقان!", "متى يفتح المركز"
    assert {name: way(same, same) for name, way in ways.items()} == dict.fromkeys(ways, 1.0)
    assert (ways["exact text"](same, spelt), ways["normalised text"](same, spelt)) == (0, 1)
    assert all(way(same, other) < 0.3 for way in ways.values())
    assert ways["trigram Jaccard"]("abcd", "abce") == pytest.approx(2 / 6)


def test_minhash_comes_near_the_share_of_words() -> None:
    words = [f"word{chr(97 + number)}" for number in range(20)]
    alike = baselines.MinHash().alike(" ".join(words[:15]), " ".join(words[5:]))
    assert alike == pytest.approx(0.5, abs=0.2)


def test_the_embedding_alone_is_the_cosine() -> None:
    vectors = {"a": np.array([1, 0], np.float32), "b": np.array([0.6, 0.8], np.float32)}
    assert baselines.Embedding(vectors).alike("a", "b") == pytest.approx(0.6)


def test_a_chart_is_whole_and_names_everything() -> None:
    lines = [Line("one & two", [(0, 1), (1, 0.5)], (0.5, 0.7)), Line("point", [(1, 1)])]
    drawn = svg(Chart("<Title>", "recall", "precision", lines, (0.9, 0.9)))
    said = {text.text for text in ElementTree.fromstring(drawn).iter() if text.text}
    assert {"<Title>", "recall", "precision", "one & two", "point", "target", "0.4"} <= said
    assert drawn.count("<circle") == 2


def test_a_long_curve_keeps_both_ends() -> None:
    points = thinned((number / 1000, 0.5) for number in range(1001))
    assert len(points) < 300
    assert (points[0][0], points[-1][0]) == (0, 1)
    assert thinned([]) == []


def test_a_page_holds_what_the_screen_shows() -> None:
    chart = Chart("A chart", "recall", "precision", [])
    parts = [
        Section("Part", ["Told.", Table(("a", "b"), [("x | y", "1")]), Drawn("name", chart)]),
        Section("Lists", [Listed(["one <b>"])]),
    ]
    page = report.page("Quality", "Head.", parts, "charts")
    assert page.startswith("# Quality\n\nHead.\n\n## Part\n\nTold.\n\n| a | b |\n| --- | --: |\n")
    assert "| x \\| y | 1 |" in page
    assert "![A chart](charts/name.svg)" in page
    assert "- one &lt;b>" in page


def test_only_what_is_between_the_marks_is_written_again() -> None:
    text = "before\n<!-- q -->\nold\n<!-- /q -->\nafter"
    assert report.between(text, "q", "new") == "before\n<!-- q -->\nnew\n<!-- /q -->\nafter"
    with pytest.raises(ValueError, match="there is no <!-- z -->"):
        report.between(text, "z", "new")
