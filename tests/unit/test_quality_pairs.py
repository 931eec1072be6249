"""The authored questions, what was learnt from them, and what measures it."""

from pathlib import Path

import numpy as np
import pytest

from services.dedup.meaning import kept
from services.dedup.meaning.embed import SIZE
from services.dedup.meaning.pairs import FACTS
from services.dedup.trees import Forest
from tests.quality import measure_pairs, questions, train_pairs
from tests.quality.forest import Plan, grow

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.2])
TRUTH = np.array([True, True, False, True, False, False])


def test_the_authored_questions_are_many_and_of_both_kinds() -> None:
    pairs = questions.authored()
    same = [pair for pair in pairs if pair.same]
    assert len(same) >= 1_000
    assert len(pairs) - len(same) >= 4_000
    assert len({pair.group for pair in pairs}) >= 100
    assert all(pair.first != pair.second for pair in pairs)


def test_no_question_stands_in_two_groups_as_the_same() -> None:
    held: dict[str, set[str]] = {}
    for pair in questions.authored():
        for text in (pair.first, pair.second):
            held.setdefault(text, set()).add(pair.group)
    assert [text for text, groups in held.items() if len(groups) > 1] == []


def test_a_file_of_pairs_is_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    good = tmp_path / "pairs.tsv"
    good.write_text('question1\tquestion2\tlabel\n"ما هو"\tما\t1\nكم\tمتى\t0\n', "utf-8")
    assert questions.judged(good) == (
        questions.Pair('"ما هو"', "ما", True),
        questions.Pair("كم", "متى", False),
    )
    for wrong, says in (("question1\tlabel\na\t1\n", "needs"), ("a\tb\t2", "label")):
        good.write_text(wrong if "\n" in wrong else f"question1\tquestion2\tlabel\n{wrong}\n")
        with pytest.raises(ValueError, match=f"line 2.*{says}"):
            questions.judged(good)


def test_what_is_shipped_is_of_these_facts_and_shapes() -> None:
    learnt = kept.learnt()
    assert learnt.forest.fact.max() < len(FACTS)
    assert learnt.forest.leaf.shape == (Plan().trees, 2 ** Plan().depth)
    for space, ways in (
        (learnt.questions, train_pairs.WAYS),
        (learnt.contacts, train_pairs.CONTACT_WAYS),
    ):
        assert space.ways.shape == (ways, SIZE)
        assert np.allclose(space.ways @ space.ways.T, np.eye(ways), atol=0.01)
    assert learnt.contact_rise > 0


def test_points_lose_the_ways_that_were_taken_away() -> None:
    space = kept.learnt().questions
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(5, SIZE)).astype(np.float32)
    vectors[4] = 0
    points = space.points(vectors)
    assert np.abs(points @ space.ways.T).max() < 0.01
    assert np.linalg.norm(points[:4], axis=1) == pytest.approx(1, abs=1e-4)
    assert not points[4].any()
    moved = space.points(vectors[:4] + 3 * space.ways[0])
    assert np.abs(moved - points[:4]).max() < 0.01


def test_a_forest_learns_and_learns_the_same_again() -> None:
    rng = np.random.default_rng(5)
    facts = np.round(rng.random((600, 5)), 3)
    same = (facts[:, 0] > 0.5) ^ (facts[:, 1] > 0.7)
    counts = np.full(600, 1 / 600)
    plan = Plan(trees=30, depth=4, least=5, tries=3)
    forest = grow(facts, same, counts, plan)
    assert ((forest.says(facts) > 0.5) == same).mean() > 0.95
    again = grow(facts, same, counts, plan)
    assert np.array_equal(forest.leaf, again.leaf)
    assert np.array_equal(forest.over, again.over)
    assert forest.says(facts[:0]).shape == (0,)


def test_a_tree_goes_right_above_its_limit_only() -> None:
    forest = Forest(np.array([[0]]), np.array([[0.5]]), np.array([[0.1, 0.9]]))
    assert forest.says(np.array([[0.5], [0.51]])).tolist() == [0.1, 0.9]


def test_figures_are_right_where_they_can_be_counted_by_hand() -> None:
    assert measure_pairs.at(SCORES, TRUTH, 0.6) == pytest.approx((3 / 5, 1, 3 / 4))
    assert measure_pairs.best_f1(SCORES, TRUTH) == pytest.approx((0.8, 0.8))
    assert measure_pairs.recall_at(SCORES, TRUTH) == pytest.approx(2 / 3)
    assert measure_pairs.recall_at(-SCORES, TRUTH) == 0
    low, high = measure_pairs.interval(SCORES, TRUTH, measure_pairs.recall_at)
    assert 0 <= low <= 2 / 3 <= high <= 1


def test_it_measures_a_file_beside_plain_ways(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    rows = [
        ("ما فوائد الثوم؟", "بماذا يفيد الثوم؟", 1),
        ("متى تأسست مكتبة قطر الوطنية؟", "في أي عام أنشئت مكتبة قطر الوطنية؟", 1),
        ("كيف أحجز موعدا في العيادة؟", "كَيْفَ أحجز موعداً في العيادة", 1),
        ("ما فوائد الثوم؟", "ما أضرار الثوم؟", 0),
        ("متى تأسست مكتبة قطر الوطنية؟", "أين تقع مكتبة قطر الوطنية؟", 0),
        ("كيف أحجز موعدا في العيادة؟", "كيف ألغي موعدا في العيادة؟", 0),
    ]
    path.write_text(
        "question1\tquestion2\tlabel\n" + "".join(f"{a}\t{b}\t{same}\n" for a, b, same in rows),
        "utf-8",
    )
    figures = measure_pairs.measure(path)
    assert (figures.pairs, figures.same) == (6, 3)
    rows_by_name = {row.name: row for row in figures.rows}
    assert list(rows_by_name)[-2:] == ["embedding alone", "ours"]
    assert len(rows_by_name) == 6
    assert rows_by_name["ours"].best == 1
    assert rows_by_name["ours"].recall_right == 1
    # One pair differs in its marks only, and no other is the same to who looks at letters alone.
    assert [row.recall_right for row in figures.rows[:2]] == pytest.approx([0, 1 / 3])
    assert figures.f1 == 1
    printed = "\n".join(measure_pairs.told(figures))
    assert not any(word in printed for row in rows for text in row[:2] for word in text.split())
