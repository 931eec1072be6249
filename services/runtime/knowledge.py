"""What may be answered without an agent: questions, each with its answer and who approved it. Pure.

Dedup finds the entry that a text asks for, outreach sends its answer; both read the same file
(`knowledge_file`). An answer goes out only while it is valid and when somebody approved it; a file
of examples answers rehearsals only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

NEEDED = ("ar", "en")
"""Languages that every answer must have."""
# Filipino is standardised Tagalog; phones and people say either.
_SAME = {"fil": "tl"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One question and its answer. Texts by language (ISO 639); times are Unix ms.

    `questions`: how people ask, by language (BCP 47: ar-Latn is Arabic in Latin letters). `ask`
    names the question, for asking which of two was meant. `approver`: staff id, "" for a draft.
    """

    name: str
    version: int
    agency: str
    topic: str
    questions: Mapping[str, tuple[str, ...]]
    ask: Mapping[str, str]
    answer: Mapping[str, str]
    valid_from_ms: int
    valid_until_ms: int
    approver: str
    approved_ms: int

    @property
    def label(self) -> str:
        """Name and version, e.g. "schools-tomorrow@2"."""
        return f"{self.name}@{self.version}"

    def sendable(self, at_ms: int) -> bool:
        """Whether it may be sent at that time: approved by then, and valid."""
        approved = bool(self.approver) and self.approved_ms <= at_ms
        return approved and self.valid_from_ms <= at_ms < self.valid_until_ms


@dataclass(frozen=True, slots=True)
class Knowledge:
    """A knowledge file. Confidences from 0 to 1.

    `examples`: it answers rehearsals only. `sure`: from this confidence on an entry answers by
    itself. `ask`: from this one on it is worth asking which of two was meant, when the next one is
    not further than `close` behind. `asking`: words that show that somebody asks, by language.
    """

    examples: bool
    sure: float
    ask: float
    close: float
    asking: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, Entry]

    def unclear(self, confidence: float, next_confidence: float) -> bool:
        """Whether an entry and the one next to it are so close that the person is asked."""
        return confidence >= self.ask and confidence - next_confidence < self.close


def spoken(texts: Mapping[str, str], language: str) -> str:
    """The language among `texts` for a person who uses `language` (a BCP 47 tag or ""); "" when
    there is none."""
    primary = language.partition("-")[0].lower()
    primary = _SAME.get(primary, primary)
    return primary if primary in texts else ""
