"""How the SMS centre behaves: a validated YAML file, so that a bad carrier is data, not code.

Every key is optional; the defaults are an honest, quick carrier. Shares are probabilities from 0
to 1, drawn for each part on its own from the seeded generator. A delay is milliseconds: a number,
``{uniform: [low, high]}`` or ``{lognormal: {median: m, p99: p}}`` (a long tail).
"""

import dataclasses
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from services.runtime.smpp import Status
from services.runtime.smpp_text import Alphabet

_Z99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


class ProfileError(ValueError):
    """The profile can't be used; the message names the key and what it takes."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A distribution of delays in milliseconds."""

    kind: Literal["constant", "uniform", "lognormal"]
    a: float
    b: float = 0.0

    def draw_s(self, rng: random.Random) -> float:
        """One delay, in seconds."""
        if self.kind == "constant":
            return self.a / 1000
        if self.kind == "uniform":
            return (self.a + (self.b - self.a) * rng.random()) / 1000
        return rng.lognormvariate(math.log(self.a), math.log(self.b / self.a) / _Z99) / 1000


@dataclass(frozen=True, slots=True)
class Profile:
    """The behaviour of one SMS centre. Each field is a key of the YAML file."""

    description: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """System id to password; empty lets anyone bind."""
    alphabet: Alphabet = Alphabet.GSM7
    """What ``data_coding`` 0 means: gsm7, latin1 or ascii."""

    answer_delay_ms: Delay = Delay("uniform", 1, 4)
    """From a submit's arrival to its answer."""
    refuse: Mapping[Status, float] = field(default_factory=dict)
    """Share of submits refused, by status name, e.g. ``{ESME_RSYSERR: 0.01}``."""
    throttle_parts_per_s: float | None = None
    """Above this pace (per system id, burst of a tenth of a second): ESME_RTHROTTLED."""
    accept_silently: float = 0.0
    """Share that is taken, delivered and receipted, but never answered."""
    drop_bind_every: int | None = None
    """After every so many submits the connection that carried the last one is cut."""

    answer_id: Literal["decimal", "hex"] = "decimal"
    """How the answer writes the message id."""
    receipt_id: Literal["decimal", "hex"] = "decimal"
    """How a receipt's text writes it."""
    receipt_tlvs: bool = True
    """Whether receipts have ``receipted_message_id`` and ``message_state`` beside their text."""
    echo_reference: bool = True
    """Whether receipts give ``user_message_reference`` back."""
    receipt_delay_ms: Delay = Delay("uniform", 50, 200)
    """From a submit's arrival to its receipt."""
    receipt_before_answer: float = 0.0
    """Share whose receipt goes out at once and whose answer comes at least 30 ms later."""
    receipt_never: float = 0.0
    receipt_copies: int = 1
    """How often every receipt is delivered, each copy with its own delay."""
    receipt_shuffle: bool = False
    """Whether receipts that are due together go out in random order."""
    undelivered: float = 0.0
    """Share whose receipt says UNDELIV (error 027)."""

    inbound_id: bool = True
    """Whether inbound messages have an id (``receipted_message_id``), equal when repeated."""
    deliver_window: int = 500
    """Most unacknowledged deliveries on one bind."""
    deliver_timeout_ms: float = 30_000
    """Unacknowledged for so long, a delivery is made again."""
    redeliver_after_ms: float = 500
    """From a refused acknowledgement to the next delivery."""

    def __post_init__(self) -> None:
        for name in ("accept_silently", "receipt_before_answer", "receipt_never", "undelivered"):
            if not 0 <= getattr(self, name) <= 1:
                raise ProfileError(f"profile: {name} is a share from 0 to 1")
        if sum(self.refuse.values()) > 1 or min(self.refuse.values(), default=0) < 0:
            raise ProfileError(
                "profile: the shares of refuse are 0 or more and add up to 1 at most"
            )
        if self.receipt_copies < 1 or self.deliver_window < 1:
            raise ProfileError("profile: receipt_copies and deliver_window are at least 1")
        for name in ("throttle_parts_per_s", "drop_bind_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ProfileError(f"profile: {name} is more than 0, or null for never")
        if self.deliver_timeout_ms <= 0 or self.redeliver_after_ms < 0:
            raise ProfileError("profile: deliver_timeout_ms and redeliver_after_ms are times in ms")

    def with_changes(self, changes: Mapping[str, object]) -> "Profile":
        """This profile with some keys replaced, validated as a file is."""
        return dataclasses.replace(self, **_read(changes))


def load(name_or_path: str) -> Profile:
    """The profile of a shipped name (``default``, ``slow``, ``hostile``) or of a YAML file."""
    shipped = Path(__file__).parent / "profiles" / f"{name_or_path}.yaml"
    path = shipped if shipped.is_file() else Path(name_or_path)
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError:
        names = ", ".join(sorted(one.stem for one in shipped.parent.glob("*.yaml")))
        raise ProfileError(
            f"no profile {name_or_path!r}: give a readable YAML file or one of {names}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"profile {path}: not YAML: {error}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ProfileError(f"profile {path}: the file is a mapping of keys")
    return Profile().with_changes(document)


def _read(document: Mapping[str, object]) -> dict[str, Any]:
    known = {one.name: one for one in dataclasses.fields(Profile)}
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key not in known:
            raise ProfileError(f"profile: no key {key!r}; there are {', '.join(known)}")
        values[key] = _value(key, value, getattr(_DEFAULT, key))
    return values


def _value(key: str, value: object, default: object) -> object:
    if isinstance(default, Delay):
        return _delay(key, value)
    if isinstance(default, Alphabet):
        return _one_of(key, value, {one.value: one for one in Alphabet})
    if key in ("answer_id", "receipt_id"):
        return _one_of(key, value, {"decimal": "decimal", "hex": "hex"})
    if key == "refuse":
        return {
            _one_of(key, name, dict(Status.__members__)): _number(key, share)
            for name, share in _mapping(key, value).items()
        }
    if key == "accounts":
        return {str(name): str(password) for name, password in _mapping(key, value).items()}
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ProfileError(f"profile: {key} is true or false")
        return value
    if isinstance(default, str):
        return str(value)
    if value is None and default is None:
        return None
    if isinstance(default, int) or key == "drop_bind_every":
        if not isinstance(value, int) or isinstance(value, bool):
            raise ProfileError(f"profile: {key} is a whole number")
        return value
    return _number(key, value)


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ProfileError(f"profile: {key} is a number")
    return float(value)


def _mapping(key: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise ProfileError(f"profile: {key} is a mapping")
    return value


def _one_of(key: str, value: object, choices: Mapping[str, object]) -> object:
    if not isinstance(value, str) or value not in choices:
        raise ProfileError(f"profile: {key} takes {', '.join(choices)}")
    return choices[value]


def _delay(key: str, value: object) -> Delay:
    wrong = ProfileError(
        f"profile: {key} is milliseconds: a number, {{uniform: [low, high]}}"
        " or {lognormal: {median: m, p99: p}}"
    )
    if not isinstance(value, Mapping):
        delay = Delay("constant", _number(key, value))
    elif isinstance(pair := value.get("uniform"), list) and len(value) == 1 and len(pair) == 2:
        delay = Delay("uniform", _number(key, pair[0]), _number(key, pair[1]))
    elif isinstance(shape := value.get("lognormal"), Mapping) and set(shape) == {"median", "p99"}:
        delay = Delay("lognormal", _number(key, shape["median"]), _number(key, shape["p99"]))
        if not 0 < delay.a <= delay.b:
            raise wrong
    else:
        raise wrong
    if delay.a < 0 or (delay.kind == "uniform" and delay.b < delay.a):
        raise wrong
    return delay


_DEFAULT = Profile()
