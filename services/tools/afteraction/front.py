"""The first page and the timeline: what is to be seen at once, and what happened when. Pure, given
the words.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.tools.afteraction.facts import Facts, busiest, recovered_ms, worst
from services.tools.afteraction.findings import Finding
from services.tools.afteraction.saying import Saying
from services.tools.afteraction.valued import told
from services.tools.reports.document import (
    Block,
    Column,
    Figure,
    Figures,
    Heading,
    Paragraph,
    Table,
)
from services.tools.reports.facts import Deed
from services.tools.reports.words import apart
from services.tools.scorecards.figures import TARGETS

_FIRST_FINDINGS = 3
_BURSTS, _INCIDENTS, _INCIDENT_PEOPLE, _TROUBLE = 8, 6, 5, 10
_ROUTINE = frozenset({"rehearsing", "changed"})


def foreword(facts: Facts, broken: Sequence[Finding], saying: Saying) -> Iterator[Block]:
    """What a minister reads."""
    words, whole = saying.words, facts.whole
    yield Heading(saying.say("foreword"))
    yield Paragraph(saying.say("what_it_is"))
    if not whole["contacts"]:
        yield Paragraph(saying.say("empty"), "bad")
        if facts.others:
            other = "others_drill" if facts.drill else "others_real"
            yield Paragraph(saying.say(other, contacts=words.count("contacts", facts.others)))
        return
    if facts.replayed:
        yield Paragraph(saying.say("replayed", times=words.number(round(facts.pace))), "bad")
    yield Figures(_people(facts, saying))
    yield Figures(_served(facts, saying))
    sentences = [
        saying.say(
            "in_short",
            since=words.time(facts.since_ms),
            until=words.near(facts.until_ms, facts.since_ms),
            people=words.count("people", whole["people"]),
            contacts=words.count("contacts", whole["contacts"]),
            needs=words.count("needs", whole["needs"]),
        )
    ]
    if whole["withheld"]:
        sentences.append(saying.say("withheld", needs=words.count("needs", whole["withheld"])))
    if whole["answered_share"] is not None:
        sentences.append(
            saying.say(
                "calls_short",
                calls=words.count("calls", whole["dialled"]),
                answered=words.number(whole["answered"]),
                share=saying.share(whole["answered_share"]),
                target=saying.limit(TARGETS["answered_share"].least),
            )
        )
    sentences.append(
        saying.say("reached_short", people=words.count("people", facts.people_reached))
    )
    yield Paragraph(" ".join(sentences))
    if not broken:
        yield Paragraph(saying.say("all_well"), "good")
        return
    yield Paragraph(saying.say("better_short", findings=words.count("findings", len(broken))))
    for one in broken[:_FIRST_FINDINGS]:
        yield Paragraph(told(one, one.rule.bad, saying), "bad")


def _people(facts: Facts, saying: Saying) -> list[Figure]:
    words, whole = saying.words, facts.whole
    needs = max(1, whole["needs"])
    per_need = words.decimal(whole["dialled"] / needs)
    return [
        Figure(words.number(whole["people"]), saying.say("fig_people")),
        Figure(words.number(whole["needs"]), saying.say("fig_needs"), saying.say("fig_needs_note")),
        Figure(
            words.number(whole["dialled"]),
            saying.say("fig_dialled"),
            saying.say("fig_per_need", times=per_need),
        ),
    ]


def _served(facts: Facts, saying: Saying) -> list[Figure]:
    words, whole = saying.words, facts.whole
    target = saying.limit(TARGETS["answered_share"].least)
    people = words.number(whole["people"])
    return [
        Figure(
            saying.share(whole["answered_share"]),
            saying.say("fig_answered"),
            saying.say("fig_target", target=target),
        ),
        Figure(
            words.number(facts.people_reached),
            saying.say("fig_reached"),
            "" if facts.campaigns else saying.say("fig_of", all=people),
        ),
        Figure(
            words.number(facts.callback_states()["completed"]),
            saying.say("fig_callbacks"),
            saying.say("fig_of", all=words.number(len(facts.callbacks))),
        ),
    ]


class _Row(NamedTuple):
    at_ms: int
    what: str


def timeline(facts: Facts, saying: Saying) -> Iterator[Block]:
    """What happened when: in one table, or in two where time was played faster."""
    if not facts.whole["contacts"]:
        return
    people, system = list(_people_did(facts, saying)), list(_system_did(facts, saying))
    yield Heading(saying.say("timeline"), fresh=True)
    if facts.replayed:
        yield Paragraph(saying.say("timeline_people"))
        yield _table(people, saying)
        yield Paragraph(saying.say("timeline_system"))
        yield _table(system, saying)
    else:
        yield Paragraph(saying.say("timeline_key"), "note")
        yield _table(people + system, saying)
    if len(facts.bursts) > _BURSTS:
        number = saying.words.number
        shown, every = number(_BURSTS), number(len(facts.bursts))
        yield Paragraph(saying.say("more_bursts", shown=shown, all=every), "note")


def _table(rows: Sequence[_Row], saying: Saying) -> Table:
    return Table(
        [Column(saying.say(one)) for one in ("when", "what")],
        [
            (saying.words.time(row.at_ms), row.what)
            for row in sorted(rows, key=lambda row: row.at_ms)
        ],
    )


def _people_did(facts: Facts, saying: Saying) -> Iterator[_Row]:
    words = saying.words
    width = words.duration(facts.width_ms)
    yield _Row(facts.since_ms, saying.say("first_contact"))
    yield _Row(facts.until_ms - 1, saying.say("last_contact"))
    most, least = busiest(facts.spans), worst(facts.spans)
    if most is not None:
        contacts = words.count("contacts", most.figures["contacts"])
        yield _Row(most.start_ms, saying.say("busiest", width=width, contacts=contacts))
    target = TARGETS["answered_share"].least or 0
    if least is not None and least.figures["answered_share"] < target:
        share = saying.share(least.figures["answered_share"])
        yield _Row(least.start_ms, saying.say("worst", width=width, share=share))
    again = recovered_ms(facts.spans, target)
    if again is not None:
        yield _Row(again, saying.say("recovered", share=saying.limit(target)))
    for one in sorted(facts.bursts, key=lambda one: -one.peak)[:_BURSTS]:
        subject = saying.subject(one.dimension, one.subject)
        usual, peak = words.decimal(one.usual), words.number(one.peak)
        yield _Row(one.start_ms, saying.say("burst_began", subject=subject, usual=usual, peak=peak))
        if one.ended:
            cases = words.count("cases", one.cases)
            yield _Row(one.until_ms, saying.say("burst_ended", subject=subject, cases=cases))
    for event in facts.incidents[:_INCIDENTS]:
        if event.people >= _INCIDENT_PEOPLE:
            yield _Row(
                event.first_ms,
                saying.say(
                    "incident",
                    subject=saying.event(event.agency, event.topic, event.place),
                    people=words.count("people", event.people),
                    languages=words.number(event.languages),
                ),
            )


def _system_did(facts: Facts, saying: Saying) -> Iterator[_Row]:
    words = saying.words
    if facts.first_asked_ms:
        yield _Row(facts.first_asked_ms, saying.say("first_asked"))
    if facts.reached_ms:
        yield _Row(facts.first_delivered_ms, saying.say("first_delivered"))
        yield _Row(facts.reached_ms[-1], saying.say("last_delivered"))
    for campaign in facts.campaigns:
        for deed in campaign.timeline:
            if deed.what not in _ROUTINE and deed.what != "takeover":
                who = apart(deed.subject) if deed.subject else saying.say("service")
                name, done = apart(campaign.name), _deed(deed, saying)
                did = saying.say("campaign_did", name=name, deed=done, who=who)
                yield _Row(deed.at_ms, did)
    for played in facts.announcements:
        lines = apart(", ".join(played.lines))
        by, until = apart(played.by), words.near(played.until_ms, facts.since_ms)
        did = "announcement_ended" if played.ended else "announcement_set"
        yield _Row(played.at_ms, saying.say(did, lines=lines, who=by, until=until))
    for offer in facts.proposals:
        subject = saying.subject(offer.dimension, offer.about)
        people = words.count("people", offer.people)
        yield _Row(offer.proposed_ms, saying.say("proposed", subject=subject, people=people))
        if offer.subject:
            state, who = words.of("proposal_states", offer.state), apart(offer.subject)
            did = saying.say("proposal_ended", state=state, subject=subject, who=who)
            yield _Row(offer.decided_ms, did)
    for one in facts.takeovers:
        room = words.of("rooms", one.room)
        count = words.count("partitions", one.partitions)
        yield _Row(one.at_ms, saying.say("takeover", room=room, partitions=count))
    for (carrier, _, reason), trouble in facts.trouble.items():
        if carrier and trouble.times >= _TROUBLE:
            yield _Row(
                trouble.first_ms,
                saying.say(
                    "trouble_began",
                    carrier=apart(carrier),
                    reason=words.known("reasons", reason),
                    messages=words.count("messages", trouble.times),
                ),
            )
    done_ms = [one.decided_ms for one in facts.callbacks if one.state == "completed"]
    if done_ms:
        yield _Row(max(done_ms), saying.say("callbacks_done"))


def _deed(deed: Deed, saying: Saying) -> str:
    words = saying.words
    if deed.refused:
        return saying.say("refused", deed=words.known("attempts", deed.what))
    unit = "messages" if deed.what in ("sending_over", "correcting_over") else "recipients"
    count = words.count(unit, deed.count) if deed.count >= 0 else ""
    return words.of("deeds", deed.what, partitions=deed.reason, count=count)
