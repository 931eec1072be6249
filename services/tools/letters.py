"""The dead letters of a system, read from outside, and what a person does about one.

Whoever does something appends it to the letter's own partition, where every reader finds the same
order: of two who replay a letter the first counts, and the second is told. An order that was
appended stands, whatever happens to the command afterwards; one that was not is nothing.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from mawja.common.v1 import common_pb2

from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.errors import ConfigError, NotFound, NotInState
from services.runtime.letters import Letters
from services.runtime.own import Record
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.scan import Scan
from services.runtime.topics import DAY_MS, DEAD_LETTERS
from services.tools import records

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it stands. `replay_offset` is where the replay that counts stands."""

    room: str
    partition: int
    offset: int
    record: common_pb2.DeadLetter
    replay_offset: int | None
    replay: common_pb2.Replay | None

    @property
    def state(self) -> str:
        """In a word."""
        if self.record.foreign:
            return "foreign"
        return "waiting" if self.replay is None else "replayed"


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why. `subject`: of a verified token."""

    subject: str
    reason: str


class Box:
    """The dead letters of some rooms, as of the last `look`. A context manager."""

    def __init__(self, settings: Settings, rooms: Sequence[str]) -> None:
        self._settings = settings
        self._rooms = {DEAD_LETTERS[room].name: room for room in rooms}
        self._letters: dict[tuple[str, int], Letters] = {}
        self._records: dict[tuple[str, int, int], common_pb2.DeadLetter] = {}
        self._scan = Scan(settings.kafka, [DEAD_LETTERS[room] for room in rooms])

    def __enter__(self) -> Self:
        self.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._scan.close()

    def look(self) -> None:
        """Reads what has come. Raises Away."""
        self._scan.advance(self._take)

    def _take(self, record: Record) -> None:
        read = Letters.read(record)
        if read is None:
            return
        room = self._rooms[record.topic]
        self._of(room, record.partition).take(record.offset, read)
        self._records[room, record.partition, record.offset] = read

    def _of(self, room: str, partition: int) -> Letters:
        return self._letters.setdefault((room, partition), Letters())

    def waiting(self, room: str) -> dict[int, int]:
        """How many letters wait, by partition; those without one are left out."""
        found = {p: letters.waiting for (r, p), letters in self._letters.items() if r == room}
        return {p: count for p, count in sorted(found.items()) if count}

    def letters(self, room: str) -> Iterator[Letter]:
        """Every letter of a room, each once, in order."""
        for of_room, partition, offset in sorted(self._records):
            if of_room == room and self._of(room, partition).first(offset) == offset:
                yield self._letter(room, partition, offset)

    def letter(self, room: str, partition: int, offset: int) -> Letter:
        """One letter. Raises NotFound."""
        first = self._of(room, partition).first(offset)
        if first is None:
            raise NotFound(
                f"no dead letter of {room} stands at offset {offset} of partition {partition}; "
                f"see `mawja dlq list --room {room}`"
            )
        return self._letter(room, partition, first)

    def _letter(self, room: str, partition: int, offset: int) -> Letter:
        at = self._of(room, partition).replay_of(offset)
        return Letter(
            room,
            partition,
            offset,
            self._records[room, partition, offset],
            at,
            None if at is None else self._records[room, partition, at].replay,
        )

    # Deeds.

    def replay(self, letter: Letter, value: bytes | None, by: By, keyring: Keyring) -> int:
        """Gives the letter to its room again, with `value` when it was mended. Returns the offset
        of the replay.

        Raises NotInState when it may not be replayed, or was; ConfigError when its value cannot be
        worked; Away: then it may have been replayed, and `list` says so.
        """
        refusal = self.refusal(letter)
        if refusal:
            raise NotInState(refusal)
        obstacle = self.obstacle(letter, value)
        if obstacle:
            raise ConfigError(obstacle)
        [offset] = self._append([(letter, _replay(letter, value, by, keyring))])
        self.look()
        now = self.letter(letter.room, letter.partition, letter.offset)
        if now.replay_offset != offset:
            raise NotInState(f"somebody was faster: {self.refusal(now)}")
        return offset

    def replay_all(self, room: str, by: By, keyring: Keyring) -> tuple[int, list[str]]:
        """Gives every letter of a room that waits to it again, as it is. Returns how many that
        were, and why others were left. Raises Away: some may have been replayed."""
        left: list[str] = []
        chosen: list[tuple[Letter, common_pb2.DeadLetter]] = []
        for letter in self.letters(room):
            if letter.replay is not None:
                continue
            why = self.refusal(letter) or self.obstacle(letter)
            if why:
                left.append(why)
            else:
                chosen.append((letter, _replay(letter, None, by, keyring)))
        offsets = self._append(chosen)
        self.look()
        done = 0
        for (letter, _), offset in zip(chosen, offsets, strict=True):
            now = self.letter(room, letter.partition, letter.offset)
            if now.replay_offset == offset:
                done += 1
            else:
                left.append(f"somebody was faster: {self.refusal(now)}")
        return done, left

    def refusal(self, letter: Letter) -> str:
        """Why a letter may not be replayed, or ""."""
        name = f"letter {letter.offset} of {letter.room}, partition {letter.partition},"
        if letter.record.foreign:
            return (
                f"{name} is a record of {letter.record.topic} that no owner of that log wrote: it "
                "counts for no reader, so there is nothing to replay"
            )
        if letter.replay is not None:
            return (
                f"{name} was replayed already, by {letter.replay.subject} (the replay is offset "
                f"{letter.replay_offset})"
            )
        kept_ms = (DEAD_LETTERS[letter.room].retention_days - 1) * DAY_MS
        if now_ms() - letter.record.dead_ms > kept_ms:
            return f"{name} is about to be removed with its time: it cannot be replayed any more"
        return ""

    def obstacle(self, letter: Letter, value: bytes | None = None) -> str:
        """Why a letter's value, or the mended one, cannot be worked, or ""."""
        was = letter.record
        held = records.obstacle(
            was.topic,
            was.value if value is None else value,
            letter.partition,
            self._settings.partitions,
        )
        if not held:
            return ""
        what = "what you gave" if value is not None else f"the value of letter {letter.offset}"
        return f"{what} {held}: give it mended, with --json or --value"

    def note_reading(self, letter: Letter, by: By, keyring: Keyring) -> None:
        """Records that somebody is shown what is sealed in a letter. Raises Away."""
        was = letter.record
        at_ms = now_ms()
        reading = common_pb2.DeadLetter(
            topic=was.topic,
            partition=was.partition,
            offset=was.offset,
            reading=common_pb2.Reading(
                letter_offset=letter.offset,
                subject=by.subject,
                sealed_reason=keyring.seal("reason", by.reason, at_ms),
                asked_ms=at_ms,
            ),
        )
        self._append([(letter, reading)])

    def _append(self, deeds: Sequence[tuple[Letter, common_pb2.DeadLetter]]) -> list[int]:
        """Appends each to its letter's partition, in order; returns where they stand."""

        async def append() -> list[int]:
            offsets: list[int] = []
            producer = Producer(self._settings.kafka, "mawja-dlq")
            await producer.start()
            try:
                for start in range(0, len(deeds), _BATCH):
                    sent = [
                        await producer.send(
                            DEAD_LETTERS[letter.room], letter.partition, deed.SerializeToString()
                        )
                        for letter, deed in deeds[start : start + _BATCH]
                    ]
                    offsets += [stands.offset for stands in await acknowledged(sent)]
            finally:
                await producer.stop()
            return offsets

        return asyncio.run(append())


def _replay(letter: Letter, value: bytes | None, by: By, keyring: Keyring) -> common_pb2.DeadLetter:
    was = letter.record
    at_ms = now_ms()
    return common_pb2.DeadLetter(
        topic=was.topic,
        partition=was.partition,
        offset=was.offset,
        key=was.key,
        value=was.value if value is None else value,
        replay=common_pb2.Replay(
            letter_offset=letter.offset,
            subject=by.subject,
            sealed_reason=keyring.seal("reason", by.reason, at_ms),
            asked_ms=at_ms,
            mended=value is not None and value != was.value,
        ),
    )
