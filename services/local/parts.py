"""Starts the parts that the environment does not replace, and stops them in reverse order.

One run owns a home folder (`.mawja`): a lock that dies with its holder keeps a second run out, and
`parts.json` tells other commands where the parts of the running one are.
"""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from services.local import disk
from services.local.children import Children
from services.local.errors import LocalPartError
from services.local.java import find_java
from services.local.kafka import LocalKafka, wait_ready
from services.local.kafka_cache import start_cache
from services.local.kafka_install import cache_home, install
from services.local.listener import Listener
from services.local.lock import Taken, holder, locked
from services.local.mending import Mending
from services.local.ports import answers
from services.local.progress import Progress
from services.local.valkey import LocalValkey

_EXTERNAL_S = 10.0
_PLACE = "parts.json"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Replaced:
    """Parts that exist already and are not started. None: start our own."""

    kafka: str | None = None
    redis_url: str | None = None
    smpp: str | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """MAWJA_KAFKA, MAWJA_REDIS_URL, MAWJA_SMPP; an empty one counts as not set."""
        return cls(
            kafka=env.get("MAWJA_KAFKA") or None,
            redis_url=env.get("MAWJA_REDIS_URL") or None,
            smpp=env.get("MAWJA_SMPP") or None,
        )


@dataclass(frozen=True, slots=True)
class FixedPorts:
    """Ports on 127.0.0.1 that a person chose. None: any free one."""

    kafka: int | None = None
    redis: int | None = None
    smpp: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of a run are, and the process that owns them."""

    pid: int
    kafka: str
    redis_url: str
    smpp: str | None


class Parts:
    """Kafka, Valkey and the SMS centre for one run, as a (sync or async) context manager.

    `home` holds data and logs. `brokers` is 1 or 3. `smsc` gives the command that runs the SMS
    centre on a port; without it there is none. `keep` keeps Kafka's data for the next run.
    Raises LocalPartError, with one line that says what to do, if a part can't be had.
    """

    def __init__(
        self,
        home: Path,
        *,
        brokers: int = 1,
        replaced: Replaced | None = None,
        ports: FixedPorts | None = None,
        smsc: Callable[[int], Sequence[str]] | None = None,
        keep: bool = False,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.home = home.absolute()
        self.brokers = brokers
        self.local_kafka: LocalKafka | None = None
        self.local_valkey: LocalValkey | None = None
        self.local_smsc: Listener | None = None
        self._replaced = replaced or Replaced()
        self._ports = ports or FixedPorts()
        self._smsc = smsc
        self._keep = keep
        self._cache = (cache or cache_home()).absolute()
        self._progress = progress or Progress()
        self._children = Children()
        self._mendings: list[Mending] = []
        self._held = contextlib.ExitStack()
        self._cancelled = threading.Event()

    @property
    def kafka(self) -> str:
        """Bootstrap servers, host:port[,host:port…]."""
        if self._replaced.kafka is not None:
            return self._replaced.kafka
        if self.local_kafka is None:
            raise LocalPartError("Kafka was not started")
        return self.local_kafka.bootstrap

    @property
    def redis_url(self) -> str:
        """redis://host:port/db."""
        if self._replaced.redis_url is not None:
            return self._replaced.redis_url
        if self.local_valkey is None:
            raise LocalPartError("Valkey was not started")
        return self.local_valkey.url

    @property
    def smpp(self) -> str | None:
        """host:port of the SMS centre; None if there is none."""
        if self._replaced.smpp is not None:
            return self._replaced.smpp
        return None if self.local_smsc is None else self.local_smsc.address

    @property
    def place(self) -> Place:
        """Where everything is."""
        return Place(os.getpid(), self.kafka, self.redis_url, self.smpp)

    def start(self) -> None:
        """Starts what is not replaced and waits until all of it serves."""
        try:
            self._own_home()
            self._start_parts()
            self._write_place()
        except BaseException as error:
            self.stop()
            if disk.is_full(error) and not isinstance(error, LocalPartError):
                raise LocalPartError(
                    f"the disk of {self.home} is full: free 2 GiB and start again, "
                    "or set MAWJA_HOME to a folder on another disk"
                ) from error
            raise

    def _own_home(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(self.home / _LOCK))
            self._held.callback((self.home / _PLACE).unlink, missing_ok=True)
        except Taken as taken:
            raise LocalPartError(
                f"Mawja already runs in {self.home} (process {taken.holder}): stop it with "
                "`mawja down`, or set MAWJA_HOME to another folder"
            ) from None
        except OSError as error:
            if disk.is_full(error):
                raise
            raise LocalPartError(
                f"can't write into {self.home} ({error.strerror}): make it writable "
                "or set MAWJA_HOME to a folder that is"
            ) from error

    def _start_parts(self) -> None:
        # What can be refused is asked first; of the parts Kafka, which takes longest, starts first.
        self._check_replaced()
        valkey = None
        if self._replaced.redis_url is None:
            valkey = LocalValkey(self.home / "valkey", self._ports.redis)
        kafka = None
        if self._replaced.kafka is None:
            disk.require_space(self.home)
            java = find_java()
            installation = install(self._cache, java, self._progress)
            kafka = LocalKafka(
                self.home / "kafka",
                installation,
                java,
                brokers=self.brokers,
                port=self._ports.kafka,
                keep=self._keep,
                start_flags=start_cache(self._cache, installation, java, self._progress),
            )
            self.local_kafka = self._children.add(kafka)
            kafka.start()
        if valkey is not None:
            self.local_valkey = self._children.add(valkey)
            valkey.start()
        if self._smsc is not None and self._replaced.smpp is None:
            self.local_smsc = self._children.add(
                Listener(
                    "the SMS centre",
                    self._smsc,
                    self.home / "smsc",
                    port=self._ports.smpp,
                    cwd=Path.cwd(),
                )
            )
            self.local_smsc.start()
        for listener in (self.local_valkey, self.local_smsc):
            if listener is not None:
                listener.ready(self._give_up)
                self._mendings.append(Mending(listener))
        if kafka is not None:
            kafka.ready(go_on=self._give_up)

    def _check_replaced(self) -> None:
        """Parts that a person named must answer; nothing else is tried in their place."""
        given = self._replaced
        if given.kafka is not None:
            try:
                wait_ready(given.kafka, 1, _EXTERNAL_S, self._give_up)
            except (LocalPartError, ValueError):
                raise LocalPartError(
                    f"MAWJA_KAFKA is {given.kafka} and no Kafka serves there: start it, correct it "
                    "(host:port[,host:port…]), or unset it and Mawja starts its own"
                ) from None
        if given.redis_url is not None:
            from redis import Redis
            from redis.exceptions import RedisError

            try:
                with Redis.from_url(given.redis_url, socket_connect_timeout=5) as redis:
                    redis.ping()
            except (RedisError, ValueError):
                # The address may hold a password, so it is not repeated.
                raise LocalPartError(
                    "MAWJA_REDIS_URL is set and no Redis or Valkey serves there: start it, correct "
                    "it (redis://host:port/0), or unset it and Mawja starts its own"
                ) from None
        if given.smpp is not None:
            host, _, port = given.smpp.rpartition(":")
            if not port.isdigit() or not answers(host.strip("[]"), int(port), 5.0):
                raise LocalPartError(
                    f"MAWJA_SMPP is {given.smpp} and no SMS centre listens there: start it, "
                    "correct it (host:port), or unset it and Mawja starts its own"
                )

    def _give_up(self) -> None:
        if self._cancelled.is_set():
            raise LocalPartError("the start was interrupted")

    def _write_place(self) -> None:
        new = self.home / f"{_PLACE}.new"
        new.write_text(json.dumps(asdict(self.place), indent=1) + "\n")
        new.replace(self.home / _PLACE)

    def check(self) -> None:
        """Raises LocalPartError saying why, if a part has ended by itself."""
        for part in (self.local_kafka, self.local_valkey, self.local_smsc):
            if part is not None:
                part.check()

    def tend(self) -> list[str]:
        """Starts Valkey and the SMS centre again when they have ended by themselves, and says what
        happened, a sentence each. Called often. Raises LocalPartError when that does not help, and
        when Kafka has ended."""
        if self.local_kafka is not None:
            self.local_kafka.check()
        return [told for one in self._mendings if (told := one.look())]

    def rss_bytes(self) -> dict[str, int]:
        """Resident memory of the parts we started, in bytes."""
        found = {
            "kafka": self.local_kafka,
            "valkey": self.local_valkey,
            "smsc": self.local_smsc,
        }
        return {name: part.rss_bytes() for name, part in found.items() if part is not None}

    def stop(self) -> None:
        """Stops what was started, the last first, and lets go of the home folder."""
        with self._held:
            self._children.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        starting = asyncio.ensure_future(asyncio.to_thread(self.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread can't be cancelled: it is asked to give up, and cleans up after itself.
            self._cancelled.set()
            with contextlib.suppress(LocalPartError):
                await starting
                await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


def running(home: Path) -> Place | None:
    """Where the parts of the run that owns `home` are; None if none runs there or is ready."""
    home = home.absolute()
    if holder(home / _LOCK) is None:
        # A file that is there all the same was left by a run that was killed.
        return None
    try:
        return Place(**json.loads((home / _PLACE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
