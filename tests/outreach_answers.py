"""A small knowledge file, and contacts with questions as dedup tells of them."""

from datetime import UTC, datetime

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.runtime.knowledge import Knowledge
from services.runtime.knowledge_file import parse
from tests.outreach_told import NOW, Told

DAY_MS = 86_400_000


def written(ms: int) -> str:
    """A moment as the file says it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def knowledge(
    *,
    examples: bool = False,
    approval: str = "approver: staff-7, approved_on: 2020-01-01,",
    valid_from_ms: int = NOW - DAY_MS,
    valid_until_ms: int = NOW + DAY_MS,
    version: int = 1,
) -> Knowledge:
    """Three entries, `roads` as the arguments say, the others good."""

    def entry(name: str, approval: str, since_ms: int, until_ms: int, number: int) -> str:
        return f"""
  {name}:
    {{version: {number}, agency: {name}-agency, topic: {name}-topic, {approval}
    valid_from: {written(since_ms)}, valid_until: {written(until_ms)},
    questions: {{en: [where {name}], ar: ["وين {name}"]}},
    ask: {{ar: "عن {name}", en: "about {name}", tl: "tungkol sa {name}"}},
    answer: {{ar: "جواب {name}", en: "answer {name}", hi: "उत्तर {name}"}}}}"""

    good = ("approver: staff-7, approved_on: 2020-01-01,", NOW - DAY_MS, NOW + 30 * DAY_MS, 4)
    return parse(
        f"version: 1\nexamples: {str(examples).lower()}\nsure: 0.8\nask: 0.5\nclose: 0.2\n"
        "asking: {en: [where]}\nentries:"
        + entry("roads", approval, valid_from_ms, valid_until_ms, version)
        + entry("shelters", *good)
        + entry("sandbags", *good),
        "small.yaml",
    )


def asks(
    decision: dedup.CaseDecision,
    question: str = "roads",
    confidence: float = 0.9,
    following: str = "",
    next_confidence: float = 0.0,
    *,
    language: str = "en",
    channel: common_pb2.Channel.ValueType = common_pb2.CHANNEL_SMS,
) -> dedup.CaseDecision:
    """The decision, its contact asking that question."""
    decision.link.channel = channel
    decision.link.language = language
    read = decision.triage
    read.question, read.question_confidence = question, confidence
    read.next_question, read.next_question_confidence = following, next_confidence
    return decision


def texter(name: str = "a", **what: object) -> Told:
    """Somebody who writes by SMS."""
    return Told(name, channel=common_pb2.CHANNEL_SMS, **what)  # type: ignore[arg-type]
