"""Locust users for a running system, over gRPC, on the same shapes, people and ledger as a surge.

    mawja up                                             # in another terminal
    .venv/bin/locust -f loadtests/locustfile.py --headless --calls 5000 --over 30s
    .venv/bin/locust -f loadtests/locustfile.py --headless StreamUser

`UnaryUser` sends one contact at a time and waits for its answer, `StreamUser` hundreds over one
stream. Both take from one script, open loop: response times count from the scheduled instant. The
test ends by itself when the script has ended, then reads the topics until they are worked through,
prints the ledger's account, and exits with 1 when anything was lost or came twice.

Everything is marked as drill and uses numbers that no person can have. Each run sends contacts of
its own, by people that depend on the seed; with the same --begin too, a second run sends the very
same contacts under the same keys, and must add nothing.

Locust patches the whole process (gevent), so nothing imports this file but Locust.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import grpc
import grpc.experimental.gevent
from locust import User, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner

from loadtests import shapes
from loadtests.ledger import TOPICS, Account, Ledger, percentile
from loadtests.locust_users import Feed, Stream, Unary
from loadtests.surge import Script, script
from services.local.smsc.record import read_record
from services.local.system import token
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import MawjaError
from services.runtime.identity import Role
from services.runtime.scan import Lag, Scan
from services.runtime.topics import CALL_EVENT, CASE, CONTACT_ACCEPTED

# Each channel and each call that waits holds a thread of gevent's pool; with the default ten, users
# would wait for one another and not for the system.
gevent.get_hub().threadpool.maxsize = 256
# Before any channel is made: the C core would block every user of the process otherwise.
grpc.experimental.gevent.init_gevent()
# Each connection of the ledger's readers would be told otherwise.
logging.getLogger("kafka").setLevel(logging.WARNING)

_PATIENCE_S = 60.0
_QUIET_S = 2.0


@dataclass(slots=True)
class Run:
    """One run against one system."""

    target: str
    token: str
    kafka: str
    rooms: frozenset[str]
    record: Path | None
    script: Script
    feed: Feed
    ledger: Ledger
    settle_s: float


class NotUsable(Exception):
    """The options or the system don't allow a run; the sentence says what to do."""


_run: Run | None = None


def _options(parser: Any) -> None:
    group = parser.add_argument_group("Mawja (see also the text at the top of the locustfile)")
    home = os.environ.get("MAWJA_HOME") or ".mawja"
    group.add_argument(
        "--services",
        default=f"{home}/services.json",
        env_var="LOCUST_SERVICES",
        help="addresses of the running system, written by `mawja up` (default: %(default)s, "
        "in $MAWJA_HOME or ./.mawja)",
    )
    group.add_argument(
        "--intake",
        default="",
        env_var="LOCUST_INTAKE",
        help="gRPC target of intake, instead of the one in --services",
    )
    group.add_argument(
        "--kafka",
        default="",
        env_var="LOCUST_KAFKA",
        help="bootstrap servers for the ledger, instead of the ones in --services",
    )
    group.add_argument(
        "--keys",
        default="",
        env_var="LOCUST_KEYS",
        help="key ring whose token key signs the load tester's token, instead of the one in "
        "--services",
    )
    group.add_argument(
        "--source",
        default="load-test",
        env_var="LOCUST_SOURCE",
        help="name that the contacts come from, and subject of the token",
    )
    group.add_argument(
        "--shape",
        default="flash",
        env_var="LOCUST_SHAPE",
        help=f"{', '.join(shapes.names())}, or a CSV of counts per interval",
    )
    group.add_argument(
        "--calls",
        type=int,
        default=2000,
        env_var="LOCUST_CALLS",
        help="fresh calls and messages (default: %(default)s); redials come on top",
    )
    group.add_argument(
        "--over",
        default="30s",
        env_var="LOCUST_OVER",
        help="real time to send them in, e.g. 90s or 10m (default: %(default)s)",
    )
    group.add_argument(
        "--agents", type=int, default=None, help="agents on the simulated floor; fewer: redials"
    )
    group.add_argument(
        "--seed",
        type=int,
        default=1,
        env_var="LOCUST_SEED",
        help="the same seed makes the same people with the same needs (default: %(default)s)",
    )
    group.add_argument(
        "--begin",
        type=int,
        default=0,
        help="event time of the script's first instant, Unix ms; by default so that it ends now",
    )
    group.add_argument(
        "--settle",
        default="30s",
        help="how long nothing may move in the topics before the account is drawn",
    )
    # One waiting user is a closed loop; these are enough for the rates that one process reaches.
    parser.set_defaults(num_users=40, spawn_rate=40)


def _prepare(environment: Environment, **_: Any) -> None:
    global _run
    try:
        if not isinstance(environment.runner, LocalRunner):
            raise NotUsable(
                "run it as one process: the script and the ledger are shared in it (for more load "
                "start StreamUser, or a second run with another --seed)"
            )
        _run = _made(environment.parsed_options)
    except (NotUsable, MawjaError, shapes.ShapeError, ValueError) as error:
        print(f"locustfile: {error}", file=sys.stderr)
        sys.exit(2)


def _made(options: Any) -> Run:
    path = Path(options.services)
    found: dict[str, Any] = {}
    if path.exists():
        found = json.loads(path.read_text())
    target = options.intake or found.get("grpc", {}).get("intake", "")
    kafka = options.kafka or found.get("kafka", "")
    keys = options.keys or found.get("keys", "")
    if not (target and kafka and keys):
        raise NotUsable(
            f"{path} tells of no running system: start `mawja up`, or give --intake, --kafka and "
            "--keys"
        )
    wanted = options.shape
    shape = shapes.read_arrivals(wanted) if Path(wanted).suffix == ".csv" else shapes.load(wanted)
    begin_ms = options.begin or now_ms() - int(shape.duration_s * 1000)
    made = script(
        shape,
        calls=options.calls,
        seed=options.seed,
        agents=options.agents,
        prefix=f"locust/{shape.name}/{options.seed}/{begin_ms}",
    )
    ledger = Ledger()
    over_s = shapes.seconds(options.over)
    if over_s <= 0:
        raise NotUsable("--over must be more than 0 seconds")
    virtual_s = made.shape.duration_s
    record = path.parent / "smsc" / "record.jsonl"
    return Run(
        target=target,
        token=token(Path(keys), options.source, Role.LOAD_TESTER),
        kafka=kafka,
        # A system that was given by hand is taken for a whole one.
        rooms=frozenset(found.get("grpc", {})) or frozenset({"dedup", "outreach", "broadcast"}),
        record=record if record.exists() else None,
        script=made,
        feed=Feed(
            iter(made),
            options.source,
            start_ms=begin_ms,
            compression=virtual_s / over_s,
            patience_s=_PATIENCE_S,
            ledger=ledger,
        ),
        ledger=ledger,
        settle_s=shapes.seconds(options.settle),
    )


def _the_run() -> Run:
    if _run is None:
        raise NotUsable("the run was not prepared")
    return _run


class _ContactUser(User):
    abstract = True
    sender: Callable[..., Unary | Stream]

    def on_start(self) -> None:
        run = _the_run()
        self.channel = grpc.insecure_channel(run.target, options=list(rpc.CHANNEL_OPTIONS))
        self.sending = self.sender(self.channel, run.token, run.feed, self._told)

    def on_stop(self) -> None:
        self.channel.close()

    def _told(self, name: str, milliseconds: float, refused: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=refused,
            context={},
        )

    @task
    def contacts(self) -> None:
        if not self.sending.perform():
            raise StopUser


class UnaryUser(_ContactUser):
    """Sends contacts one at a time, each with an RPC of its own."""

    sender = Unary
    weight = 9


class StreamUser(_ContactUser):
    """Sends many contacts over one stream, an answer for each."""

    sender = Stream
    weight = 1


def _begin(user_count: int, **_: Any) -> None:
    _the_run().feed.start()


def _watch(environment: Environment, **_: Any) -> None:
    gevent.spawn(_end_with_the_script, environment)


def _end_with_the_script(environment: Environment) -> None:
    """Ends the test when every contact has its end, or the patience for the last one has."""
    feed = _the_run().feed
    ended_s: float | None = None
    while True:
        gevent.sleep(0.2)
        if feed.ended:
            ended_s = ended_s or monotonic_s()
            if not feed.counts.open or monotonic_s() - ended_s > 2 * feed.patience_s:
                break
    runner = environment.runner
    if runner is not None:
        if getattr(environment.parsed_options, "headless", False):
            runner.quit()
        else:
            runner.stop()


def _account(environment: Environment, **_: Any) -> None:
    run = _the_run()
    run.feed.close()
    try:
        account = _settled(run)
    except MawjaError as error:
        print(f"locustfile: no account: {error}", file=sys.stderr)
        environment.process_exit_code = 1
        return
    problems = _problems(run, account)
    _show(run, account, problems)
    if problems or run.feed.counts.failed:
        environment.process_exit_code = 1


def _settled(run: Run) -> Account:
    """Reads the topics until all that was acknowledged has been worked through, or nothing has
    moved for `settle_s`."""
    with ExitStack() as held:
        scan = held.enter_context(Scan(run.kafka, TOPICS))
        lag = Lag(run.kafka)
        held.callback(lag.close)
        moved_s, before = monotonic_s(), -1
        while True:
            read = scan.advance(run.ledger.take)
            behind = run.ledger.open_messages if "broadcast" in run.rooms else 0
            if "dedup" in run.rooms:
                behind += lag.of("dedup", (CONTACT_ACCEPTED, CALL_EVENT))
            if "outreach" in run.rooms:
                behind += lag.of("outreach", (CASE,))
            still_s = monotonic_s() - moved_s
            if read or behind != before:
                moved_s, before = monotonic_s(), behind
            elif still_s > (run.settle_s if behind else min(_QUIET_S, run.settle_s)):
                break
            gevent.sleep(0.5)
    if run.record is not None and "broadcast" in run.rooms:
        run.ledger.carrier_accepted(read_record(run.record))
    return run.ledger.account()


def _problems(run: Run, account: Account) -> list[str]:
    """What is wrong, of what the rooms that run are there for."""
    if {"dedup", "outreach", "broadcast"} <= run.rooms:
        return account.problems
    found = []
    if account.unkept:
        found.append(f"{account.unkept:,} acknowledged contacts are not in {CONTACT_ACCEPTED.name}")
    if "dedup" in run.rooms:
        found += [f"{account.lost:,} lost"] if account.lost else []
        found += [f"{account.duplicate_cases:,} duplicate cases"] if account.duplicate_cases else []
    return found


def _show(run: Run, account: Account, problems: list[str]) -> None:
    counts = run.feed.counts
    latencies = sorted(counts.latencies_s)
    m = account.messages
    rows = (
        ("sent", counts.sent),
        ("acknowledged", counts.accepted),
        ("failed", counts.failed),
        ("without an answer", counts.open),
        ("sent again after a refusal that passes", counts.again),
        ("intake p50, ms", round(percentile(latencies, 0.5) * 1000, 1)),
        ("intake p99, ms", round(percentile(latencies, 0.99) * 1000, 1)),
        ("users at most behind the script, s", round(counts.behind_s, 2)),
        ("accepted in the topic, of all runs", account.accepted),
        ("cases", account.cases),
        ("messages asked for", m.requested),
        ("  delivered", m.delivered),
        ("lost", account.lost if "dedup" in run.rooms else account.unkept),
        ("duplicate cases", account.duplicate_cases),
        ("duplicate messages", account.duplicate_messages),
    )
    print("\nLedger")
    for name, value in rows:
        print(f"  {name:<40}{value:>12,}")
    for problem in problems:
        print(f"  {problem}")
    if not problems:
        print("  every contact and message is in one bucket")


_LISTENERS: tuple[tuple[Any, Callable[..., None]], ...] = (
    (events.init_command_line_parser, _options),
    (events.init, _prepare),
    (events.test_start, _watch),
    (events.spawning_complete, _begin),
    (events.test_stop, _account),
)
for _hook, _listener in _LISTENERS:
    _hook.add_listener(_listener)
