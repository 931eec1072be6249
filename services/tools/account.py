"""`mawja ledger`: the account of a running system, from its topics and, of a local run, from the
SMS centre's own record too.

A running system is read at one moment. Where the topics end is asked for before anything is read,
effects before their causes (`loadtests.ledger.RUNNING`), and nothing is read past those ends: so
whatever is seen has its cause among what is seen, and what is under way waits in a bucket with that
name. The SMS centre's record is read twice: what it held before the ends were asked for must be
told of by the topics; what it held after the topics were read may be.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests.ledger import RUNNING, Account, Ledger, Standing, standing
from services.local.parts import Place, running
from services.local.progress import Progress
from services.local.smsc.record import RecordReader, Submit
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import ConfigError
from services.runtime.scan import Scan
from services.tools.local import home_folder, smsc_record

_PROGRESS_FROM = 50_000
"""Records that are read in a moment need no progress."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the account is taken from. `record`: the SMS centre's own, None if it is not ours."""

    kafka: str
    record: Path | None


@dataclass(frozen=True, slots=True)
class Balance:
    """The account at a moment. `smsc`: whether it was held against the SMS centre's record too."""

    at_ms: int
    read_s: float
    records: int
    smsc: bool
    account: Account
    standing: Standing

    @property
    def wrong(self) -> list[str]:
        """What does not add up and which promises are broken, in sentences."""
        sums = [] if self.standing.adds_up else ["the buckets do not add up"]
        return sums + self.account.problems

    @property
    def good(self) -> bool:
        """Whether everything is in exactly one bucket and every promise is kept."""
        return not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "at_ms": self.at_ms,
            "read_s": round(self.read_s, 2),
            "records": self.records,
            "adds_up": self.standing.adds_up,
            "good": self.good,
            "problems": self.wrong,
            "cases": self.account.cases,
            **asdict(self.standing),
            "smsc": {
                "messages": self.account.carrier_messages,
                "more_than_once": self.account.duplicate_messages,
            }
            if self.smsc
            else None,
        }


def source(home: Path | None, env: Mapping[str, str] = os.environ) -> Source:
    """The local run in `home` if that is given, else what MAWJA_KAFKA says, else the local run in
    the usual folder. Raises ConfigError when nothing runs."""
    kafka = env.get("MAWJA_KAFKA")
    if home is None and kafka:
        return Source(kafka, None)
    folder = home_folder(home)
    place = running(folder)
    if place is None:
        raise ConfigError(
            f"nothing runs in {folder}: start it (`mawja up`), give its --home, or set MAWJA_KAFKA"
        )
    return Source(place.kafka, _record_of(folder, place))


def _record_of(folder: Path, place: Place) -> Path | None:
    """The SMS centre's record, if both it and the Kafka whose messages it tells of are this run's
    own: a Kafka that was there before has messages of before."""
    record = smsc_record(folder)
    try:
        port = json.loads(record.with_name("ports.json").read_text())["smpp_port"]
    except (OSError, ValueError, KeyError):
        return None
    own_kafka = any((folder / "kafka").glob("node-*/data/meta.properties"))
    own_smsc = place.smpp is not None and place.smpp.endswith(f":{port}")
    return record if own_kafka and own_smsc and record.exists() else None


class Auditor(AbstractContextManager["Auditor"]):
    """Takes the account of a running system as often as it is asked to; each time it reads on from
    where it was. Raises Away when Kafka does not answer, ConfigError when no Mawja runs there."""

    def __init__(self, at: Source, progress: Progress) -> None:
        self._ledger = Ledger()
        self._scan = Scan(at.kafka, RUNNING)
        self._progress = progress
        self._record = None if at.record is None else RecordReader(at.record)
        self._late: Sequence[Submit] = ()
        begins = self._scan.beginnings()
        if not begins:
            self._scan.close()
            raise ConfigError(f"Kafka at {at.kafka} has no topics of Mawja: none runs there")
        for (topic, partition), offset in begins.items():
            self._ledger.begins(topic, partition, offset)

    def take(self) -> Balance:
        """The account as it stands now."""
        started_s = monotonic_s()
        if self._record is not None:
            self._ledger.carrier_accepted([*self._late, *_added(self._record)])
        at_ms = now_ms()
        records = self._scan.advance(self._ledger.take, self._tell)
        if self._record is not None:
            self._late = _added(self._record)
        return Balance(
            at_ms=at_ms,
            read_s=monotonic_s() - started_s,
            records=records,
            smsc=self._record is not None,
            account=self._ledger.account(running=True, late=self._late),
            standing=standing(self._ledger, at_ms),
        )

    def _tell(self, read: int, total: int) -> None:
        if total >= _PROGRESS_FROM:
            self._progress.update(f"reading: {read:,} of {total:,} records ({read / total:.0%})")

    def __exit__(self, *_: object) -> None:
        self._scan.close()


def _added(record: RecordReader) -> list[Submit]:
    try:
        return list(record.more())
    except (OSError, ValueError) as error:
        raise ConfigError(f"the SMS centre's record can't be read: {error}") from error
