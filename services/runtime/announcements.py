"""What lines play: announcements as they were set and ended, and which of them are on air. Pure.

Outreach sets them, intake hands them to telephone systems over HTTP; both fold the same topic. The
first record of an announcement says what it is and the first end of one ends it, whatever comes
twice or from whom.
"""

import hashlib
from collections.abc import Iterable

from mawja.outreach.v1.announcements_pb2 import Announcement, AnnouncementText, Played

NEEDED = ("ar", "en")
"""Languages that every announcement must have, in the order in which texts are given."""
LONGEST_MS = 31 * 24 * 3600_000
"""No announcement ends later than this after it was set."""
ASK_AGAIN_MS = 30_000
"""What a telephone system holds is at most so old."""
MARKS = {"ar": "تمرين. "}
MARK = "DRILL. "
"""Before every text of a rehearsal, by language; the others have the second."""


def in_order(texts: Iterable[AnnouncementText]) -> list[AnnouncementText]:
    """Texts as they are given: Arabic first, English second, then by code."""

    def place(text: AnnouncementText) -> tuple[int, str]:
        known = text.language in NEEDED
        return (NEEDED.index(text.language) if known else len(NEEDED), text.language)

    return sorted(texts, key=place)


def ends_ms(announcement: Announcement) -> int:
    """When it is over, Unix ms."""
    ended = announcement.ended_ms
    return min(announcement.until_ms, ended) if ended else announcement.until_ms


class Announcements:
    """Every announcement that was set."""

    def __init__(self) -> None:
        self._all: dict[str, Announcement] = {}

    def take(self, stated: Announcement) -> None:
        """Takes up a record."""
        known = self._all.get(stated.announcement_id)
        if known is None:
            self._all[stated.announcement_id] = stated
        elif stated.ended_ms and not known.ended_ms:
            known.ended_ms, known.ended_by = stated.ended_ms, stated.ended_by

    def get(self, announcement_id: str) -> Announcement | None:
        """One of them."""
        return self._all.get(announcement_id)

    def all(self, line: str, over: bool, now_ms: int) -> list[Announcement]:
        """Those of a line ("": of every line), the latest first; `over`: also those that are."""
        found = [
            one
            for one in self._all.values()
            if (not line or line in one.lines) and (over or ends_ms(one) > now_ms)
        ]
        return sorted(found, key=lambda one: (-one.set_ms, one.announcement_id))

    def on_air(self, line: str, drill: bool, now_ms: int) -> list[Announcement]:
        """What a line plays at that time: urgent ones first, then the latest first; what says the
        same as one before it is left out."""
        playing = [
            one
            for one in self.all(line, False, now_ms)
            if one.drill == drill and one.from_ms <= now_ms
        ]
        playing.sort(key=lambda one: not one.urgent)
        said: set[tuple[str, ...]] = set()
        found = []
        for one in playing:
            words = tuple(f"{text.language}:{text.text}" for text in one.texts)
            if words not in said:
                said.add(words)
                found.append(one)
        return found

    def ask_again_ms(self, line: str, drill: bool, now_ms: int) -> int:
        """When a line may play something else, Unix ms; at most 30 s from now."""
        changes = [
            at
            for one in self.all(line, False, now_ms)
            if one.drill == drill
            for at in (one.from_ms, ends_ms(one))
            if at > now_ms
        ]
        return min([now_ms + ASK_AGAIN_MS, *changes])


def played(announcements: Iterable[Announcement]) -> list[Played]:
    """Announcements as a telephone system gets them: those of rehearsals are marked as such."""
    return [
        Played(
            announcement_id=one.announcement_id,
            texts=[
                AnnouncementText(language=text.language, text=_mark(one, text) + text.text)
                for text in one.texts
            ],
            until_ms=one.until_ms,
            urgent=one.urgent,
        )
        for one in announcements
    ]


def _mark(announcement: Announcement, text: AnnouncementText) -> str:
    return MARKS.get(text.language, MARK) if announcement.drill else ""


def etag(line: str, given: Iterable[Played]) -> str:
    """Names what a line plays, 16 hex digits: another when anything of it is another."""
    digest = hashlib.sha256(line.encode())
    for one in given:
        digest.update(one.SerializeToString(deterministic=True))
        digest.update(b"\x1f")
    return digest.hexdigest()[:16]
