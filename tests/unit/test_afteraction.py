"""The facts of a surge against a log that was counted by hand, and what they are told as."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC

import pytest
from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord
from mawja.common.v1.common_pb2 import DeadLetter, Exercise
from mawja.dedup.v1.events_pb2 import CASE_CHANGE_LINKED, CaseDecision, Link

from services.broadcast import messages as m
from services.runtime import ids
from services.runtime.topics import CASE, DEDUP_DEAD, MESSAGE_STATUS
from services.tools.afteraction.facts import Facts, Share, recovered_ms
from services.tools.afteraction.findings import SOURCES, UNITS, found, rules
from services.tools.afteraction.folding import Fold
from services.tools.afteraction.measures import measures
from services.tools.afteraction.saying import Saying
from services.tools.afteraction.telling import document
from services.tools.effects.measuring import Part
from services.tools.reports.document import Document, Paragraph, Table
from services.tools.reports.facts import Made
from services.tools.reports.words import LANGUAGES, Language, Words
from tests.report_log import CAMPAIGN_ID, Written
from tests.surge_log import HUNG_UP, PEOPLE, T0, TOLD, S, Surge, as_record, surge


@pytest.fixture(scope="module")
def facts() -> Facts:
    return surge().facts("Flood")


def told(facts: Facts, language: Language = "en") -> Document:
    words = Words(language, UTC, "UTC", "services.tools.afteraction")
    return document(facts, Saying(words, {}, {}), "surge.json")


def text_of(made: Document) -> str:
    return repr(made)


def test_people_needs_and_calls_are_counted_as_they_came(facts: Facts) -> None:
    whole = facts.whole
    assert (whole["people"], whole["needs"], whole["contacts"]) == (PEOPLE + 1, PEOPLE + 1, 15)
    assert (whole["dialled"], whole["answered"], whole["abandoned"], whole["open"]) == (14, 3, 9, 2)
    assert whole["answered_share"] == 3 / 12
    assert whole["mean_wait_s"] == 20.0
    assert facts.avoided.joined == 2
    assert (facts.since_ms, facts.until_ms) == (T0, T0 + 700 * S + 1)
    for counted in ("contacts", "dialled", "needs", "answered", "abandoned"):
        spans = sum(span.figures[counted] for span in facts.spans)
        assert spans == whole[counted]
        for by, groups in facts.groups.items():
            assert sum(figures[counted] for _, figures in groups) == whole[counted], by


def test_every_message_is_in_one_bucket(facts: Facts) -> None:
    buckets = {origin.step: origin.buckets for origin in facts.origins}
    assert buckets["callback-offer"] == Counter(delivered=8, suppressed=1)
    assert buckets["answer"] == Counter(delivered=1)
    assert buckets["clarify"] == Counter(unknown=1)
    assert sum(sum(one.values()) for one in buckets.values()) == HUNG_UP + 2
    # The eight, the one who asked; the campaign's people have no hash in its made-up log.
    assert facts.people_reached == 9
    campaign = facts.campaigns[0].sending.totals()
    assert facts.sent()["delivered"] == 9 + campaign["delivered"] + 1
    assert len(facts.reached_ms) == 9 + campaign["delivered"]
    # From the acceptance of the question, not from the decision to answer it.
    took_ms = next(one.took_ms for one in facts.origins if one.step == "answer")
    assert list(took_ms) == [2_500]
    took_ms = next(one.took_ms for one in facts.origins if one.step == "callback-offer")
    assert (took_ms[0], took_ms[-1]) == (2_000, 70_000)


def test_lines_and_contracts_are_told(facts: Facts) -> None:
    deeds = [(one.ended, one.by) for one in facts.announcements]
    assert deeds == [(False, "maryam"), (True, "khalid")]
    assert facts.routes == {"health": Counter({"taken": 1, "left to the agency": 1})}
    text = text_of(told(facts))
    assert "Announcement on line" in text
    assert "By agencies' contracts" in text


def test_what_was_proposed_and_decided_is_told(facts: Facts) -> None:
    (offer,) = facts.proposals
    assert (offer.state, offer.subject, offer.people) == ("accepted", "maryam", 9)
    figures = measures(facts)
    assert figures["first_proposal_s"] == 25.0
    assert figures["proposals_wordless"] == 1
    assert figures["proposals_undecided"] == 0
    text = text_of(told(facts))
    assert "Campaign proposed: \\u2068power-cut\\u2069, to 9 people" in text
    assert "Proposal accepted" in text


def test_a_campaign_is_measured_by_whom_it_held_back() -> None:
    made = surge()
    # Ten got it and three of them call; ten were held back and six call.
    for who in range(20):
        change = MessageChange(
            message_id=ids.derive("held", str(who)),
            campaign_id=CAMPAIGN_ID,
            drill=True,
            person=bytes([100 + who]) * 16,
            state=m.CLAIMED if who < 10 else m.SUPPRESSED,
            reason="" if who < 10 else "held-back",
        )
        record = StatusRecord(changes=[change], decided_ms=T0 + 70_000)
        made.records.append(Written(MESSAGE_STATUS, 2, record))
        if who < 3 or 10 <= who < 16:
            made.contact(f"after{who}", 99 + who, 300 + who)
    # Who called before the campaign began was not kept from calling by it.
    made.contact("before", 99 + 5, 1)
    facts = made.facts()
    effect = facts.effects[CAMPAIGN_ID]
    assert effect.sent == Part(10, 3, 3)
    assert effect.held == Part(10, 6, 6)
    text = text_of(told(facts))
    assert "3 of 10 (30.0%)" in text
    assert "6 of 10 (60.0%)" in text
    assert surge().facts().effects == {}


def test_who_was_asked_and_did_not_answer_is_not_nobody(facts: Facts) -> None:
    assert "nobody was asked" in text_of(told(facts))
    made = surge()
    asked = made.requested("how", made.case_of("c0"), "satisfaction", 400, "ar")
    made.became(asked, 401, m.CLAIMED, m.SUBMITTED, m.DELIVERED)
    assert "1 person asked, nobody answered" in text_of(told(made.facts()))
    answer = CaseDecision(
        change=CASE_CHANGE_LINKED,
        case=made.desk.log[0].case,
        link=Link(contact_id=ids.contact_id("test", "two"), event_ms=T0 + 500 * S, line="109"),
        score=2,
    )
    made.records.append(Written(CASE, 0, answer))
    scored = made.facts()
    assert scored.satisfaction == 2.0
    # Who says how it was has not come back about it.
    reply = Link(contact_id=ids.contact_id("test", "five"), event_ms=T0 + 900 * S)
    asker = made.desk.log[-1].case
    kind = CASE_CHANGE_LINKED
    made.records.append(
        Written(CASE, 0, CaseDecision(change=kind, case=asker, link=reply, score=5))
    )
    after = made.facts()
    assert after.avoided.answered == Share(1, 1)
    assert after.avoided.joined == facts.avoided.joined
    assert "2.0 (answers: 1)" in text_of(told(scored))
    assert "satisfaction" in [one.rule.name for one in found(measures(scored))[0]]


def test_callbacks_are_as_they_were_left(facts: Facts) -> None:
    assert facts.callback_states() == Counter(due=7, completed=1, given_up=1)
    assert facts.callbacks_open == 7
    assert facts.waited_ms() == [900 * S - 3 * 30 * S]


def test_who_dialled_again_is_told_beside_who_was_not_told(facts: Facts) -> None:
    # Told within the minute: all but who has no mobile and who was told late.
    assert facts.avoided.told == Share(1, TOLD)
    assert facts.avoided.untold == Share(1, 1)
    assert facts.avoided.answered == Share(1, 1)


def test_who_dials_again_at_once_could_not_have_been_told() -> None:
    made = surge()
    # The ninth hung up after 285 s; half a minute later nobody can have read anything.
    made.contact("at once", 8, 315)
    assert made.facts().avoided.told == Share(1, TOLD)
    made.contact("later", 8, 360)
    assert made.facts().avoided.told == Share(2, TOLD)


def test_what_no_state_allows_and_what_is_old_changes_nothing(facts: Facts) -> None:
    made = surge()
    made.became(ids.derive("surge-message", "ask"), 800, m.FAILED, who=12, epoch=7)
    # An earlier statement of a callback that has been completed since.
    made.callback(3, made.case_of("c3"), 135)
    after = made.facts()
    assert after.forbidden == 1
    assert after.sent() == facts.sent()
    assert after.callback_states() == facts.callback_states()


def test_what_missed_its_target_is_seen_at_once(facts: Facts) -> None:
    tables = [one for one in told(facts).blocks if isinstance(one, Table) and one.marked]
    targets = tables[0]
    assert [row[3] for row in targets.rows][:4] == ["missed", "kept", "kept", "kept"]
    assert targets.marked == {(0, 1), (0, 3)}
    # Of each line, agency and language too.
    assert len(tables) == 4


def test_a_share_of_few_is_hardly_known() -> None:
    low, high = Share(1, 10).interval()
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998: Wilson's for 1/10.
    assert (round(low, 4), round(high, 4)) == (0.0179, 0.4042)
    assert Share().interval() == (0.0, 1.0)


def test_takeovers_and_dead_letters_are_told(facts: Facts) -> None:
    rooms = Counter(one.room for one in facts.takeovers)
    # The campaign's log and the status log of the surge each changed hands.
    assert rooms["broadcast"] >= 1
    assert [(one.room, one.records, one.again) for one in facts.letters] == [("dedup", 1, 0)]
    assert facts.trouble["north", "unknown", "takeover"].times == 2


def test_what_comes_after_a_surge_is_none_of_it() -> None:
    until_ms = T0 + 3_600_000
    made = surge()
    before = made.facts(since_ms=T0, until_ms=until_ms)
    assert before.people_reached == 9
    # A day later there is another one, with faults of its own.
    day = 86_400
    made.contact("later", 40, day)
    made.callback(40, made.case_of("later"), day + 60)
    told_id = made.requested("later", made.case_of("later"), "callback-offer", day + 61, "ar")
    made.became(told_id, day + 62, m.CLAIMED, m.SUBMITTED, m.DELIVERED, who=40, epoch=7)
    lost = made.requested("later2", made.case_of("later"), "clarify", day + 70, "ar")
    made.became(lost, day + 71, m.CLAIMED, m.RELEASED, who=40, reason="throttled", epoch=7)
    letter = DeadLetter(topic=CASE.name, reason="later", dead_ms=T0 + day * S)
    made.records.append(Written(DEDUP_DEAD, 1, letter))
    after = made.facts(since_ms=T0, until_ms=until_ms)
    assert [one.room for one in after.takeovers] == [one.room for one in before.takeovers]
    # How much was read, and so when a record of this made-up log was written, may differ.
    campaigns = [replace(one, made=after.made) for one in before.campaigns]
    same = replace(before, made=after.made, takeovers=after.takeovers, campaigns=campaigns)
    assert after == same
    assert made.facts(since_ms=until_ms).people_reached == 1


def test_the_findings_are_the_figures_that_break_their_limits(facts: Facts) -> None:
    figures = measures(facts)
    assert figures["life_safety_open"] == 1
    assert figures["callbacks_moved"] == 1
    assert figures["no_agency_share"] == 1 / 15
    assert figures["no_language_share"] == 1 / 11
    assert figures["answer_p99_s"] == 2.5
    assert figures["dead_letters"] == 1
    # From the burst's beginning to the first message that arrived after it.
    assert figures["first_message_s"] == 1.9
    broken, kept, unmeasured = found(figures)
    names = [one.rule.name for one in broken]
    assert names[:2] == ["life-safety-open", "answered"]
    assert {"languages", "callbacks-moved", "dead-letters", "takeovers"} <= set(names)
    assert {"first-message", "handling", "agencies"} <= {one.rule.name for one in kept}
    assert len(broken) + len(kept) + len(unmeasured) == len(rules())


def test_every_rule_is_about_a_figure_that_there_is(facts: Facts) -> None:
    figures = measures(facts)
    for rule in rules():
        assert rule.figure in figures, rule.name
        assert rule.unit in UNITS
        assert rule.source in SOURCES
    assert len({rule.name for rule in rules()}) == len(rules())


def test_rehearsals_and_real_calls_never_meet() -> None:
    real = surge().facts(drill=False)
    assert real.whole["contacts"] == 0
    assert real.others == 15
    assert not real.origins
    assert not real.campaigns
    assert not real.callbacks
    assert not real.incidents
    assert not real.bursts
    assert real.people_reached == 0
    assert "15 contacts" in text_of(told(real))
    here = surge(drill=False, campaign=False).facts()
    assert told(here).banner == told(here).mark == ""
    assert here.whole["contacts"] == 15


def test_what_an_agent_practises_on_is_no_call() -> None:
    made = surge()
    before = made.facts()
    made.contact("practice", 99, 50, exercise=Exercise(agent="agent-7", code="visa"))
    case = made.case_of("practice")
    given = {"callback_id": "practice", "exercise": Exercise(agent="agent-7", code="visa")}
    made.callback(3, case, 50, **given)
    after = made.facts()
    assert after.whole == before.whole
    assert len(after.callbacks) == len(before.callbacks)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_order_the_topics_come_in(seed: int, facts: Facts) -> None:
    made = surge()
    queues: dict[str, list[int]] = {}
    records = made.all()
    for number, one in enumerate(records):
        queues.setdefault(f"{one.topic.name}/{one.partition}", []).append(number)
    chance, fold = random.Random(seed), Fold(drill=True)
    while queues:
        name = chance.choice(sorted(queues))
        number = queues[name].pop(0)
        if not queues[name]:
            del queues[name]
        fold.take(as_record(records[number], number), records[number].topic)
    same = fold.facts(Made(T0 + 3_600_000, {CASE.name: {0: 99}}, len(made.records)), "Flood")
    for language in LANGUAGES:
        assert told(same, language) == told(facts, language)


def test_a_day_that_was_played_in_minutes_is_told_as_such() -> None:
    played = Surge(lag_ms=2 * 3_600_000)
    for who in range(6):
        # Taken within a second, though the story took a quarter of an hour.
        late = {"accepted_ms": T0 + 7_200_000 + who * 200}
        played.contact(f"p{who}", who, who * 180, **late)
    facts = played.facts()
    assert facts.pace == 900.0
    assert facts.avoided.told is None
    assert measures(facts)["first_message_s"] is None
    assert "900 times as fast" in text_of(told(facts))
    assert surge(lag_ms=5_000).facts().pace == 1.0


def test_a_span_tells_of_those_who_came_in_it() -> None:
    part = surge().facts(since_ms=T0 + 60 * S, until_ms=T0 + 180 * S)
    assert part.whole["contacts"] == 4
    assert (part.since_ms, part.until_ms) == (T0 + 60 * S, T0 + 150 * S + 1)
    # Those who hung up in it: the third to the fifth of all.
    assert len(part.callbacks) == 2


def test_nothing_happened() -> None:
    nothing = Surge().facts()
    made = told(nothing)
    assert nothing.spans == []
    assert "Nobody reached out" in text_of(made)
    assert made.name == "No contacts"
    assert not [one for one in made.blocks if isinstance(one, Paragraph) and "{" in one.text]


def test_recovery_is_after_the_last_stretch_that_missed() -> None:
    answered = surge().facts().spans
    assert recovered_ms(answered, target=0.9, least=1) is None
    assert recovered_ms(answered, target=0.0, least=1) is None
