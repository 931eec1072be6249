"""The file of carriers and routes (MAWJA_CARRIERS), and which carrier a message may go to. Pure.

    carriers:
      - name: etisalat
        kind: smpp
        declared: live              # test: reaches no citizen
        host: smsc.example.ae
        port: 2775
        system_id: mawja
        password_file: etisalat.password   # beside this file, or absolute
        sender: GovCare             # what people see: 1-11 letters, a short code or +number
        parts_per_second: 200       # agreed with the carrier, for each process of broadcast
    routes:
      - {prefix: "+971", carrier: etisalat}
      - {prefix: "+971", language: ar, carrier: etisalat-arabic}

A rehearsal and the real thing never share a carrier: a message marked as drill goes only to
carriers declared `test`, every other message only to carriers declared `live`, and a synthetic
number (+999) only to `test`. What has no such route is suppressed with a reason, never sent by a
carrier of the other kind. Among the routes that remain the longest prefix wins, then one that names
the message's language, then the first in the file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import yaml

from services.broadcast.carriers.deliver import Dialect, IdFormat
from services.runtime.errors import ConfigError
from services.runtime.numbers import SYNTHETIC
from services.runtime.smpp_text import Alphabet

Validity = Literal["absolute", "relative", "none"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_PREFIX = re.compile(r"\+\d{0,15}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SENDER = re.compile(r"\+?\d{1,20}|[ -~]{1,11}")


@dataclass(frozen=True, slots=True)
class CarrierSpec:
    """One carrier of the file. Times are seconds; `parts_per_second` is for one process.

    `validity` says how the end of a message's life is told to the carrier: as an instant, as a
    time from arrival, or not at all (for a carrier whose clock or parser cannot be trusted).
    """

    name: str
    declared: Literal["test", "live"]
    host: str
    port: int
    system_id: str
    password_file: str
    sender: str
    parts_per_second: float
    system_type: str = ""
    binds: int = 1
    window: int = 200
    response_timeout_s: float = 10.0
    enquire_link_s: float = 15.0
    validity: Validity = "absolute"
    dialect: Dialect = field(default_factory=Dialect)


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers that start with `prefix`, in `language` (empty: any), go to `carrier`."""

    prefix: str
    language: str
    carrier: str


@dataclass(frozen=True, slots=True)
class Routes:
    """The whole file."""

    carriers: Mapping[str, CarrierSpec]
    routes: Sequence[Route]

    def choose(self, number: str, language: str, drill: bool) -> CarrierSpec | str:
        """The carrier of a message to `number` (E.164), or the reason why there is none:
        "synthetic-number" or "no-route"."""
        if number.startswith(SYNTHETIC) and not drill:
            return "synthetic-number"
        wanted = "test" if drill else "live"
        spoken = language.partition("-")[0].lower()
        best: tuple[int, bool] = (-1, False)
        chosen: CarrierSpec | None = None
        for route in self.routes:
            carrier = self.carriers[route.carrier]
            if (
                carrier.declared == wanted
                and number.startswith(route.prefix)
                and route.language in ("", spoken)
            ):
                rank = (len(route.prefix), bool(route.language))
                if rank > best:
                    best, chosen = rank, carrier
        return chosen or "no-route"


def parse(text: str, name: str) -> Routes:
    """The routes in `text`, the contents of the file called `name`.

    Raises ConfigError naming the line, the field and what it takes.
    """
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}, line {line}: not YAML: {error.problem}") from None
    if document is None:
        raise ConfigError(f"{name}: is empty; it takes carriers and routes")
    top = _Fields(name, "", document)
    carriers: dict[str, CarrierSpec] = {}
    for node in top.items("carriers"):
        fields = _Fields(name, f"carriers[{len(carriers)}]", node)
        carrier = _carrier(fields)
        if carrier.name in carriers:
            raise fields.wrong("name", "is taken by an earlier carrier")
        carriers[carrier.name] = carrier
    routes = [
        _route(_Fields(name, f"routes[{index}]", node), carriers)
        for index, node in enumerate(top.items("routes"))
    ]
    top.finish()
    return Routes(carriers, routes)


def _carrier(fields: "_Fields") -> CarrierSpec:
    name = fields.text("name", _NAME, "1 to 32 of a-z, 0-9 and -")
    fields.one_of("kind", ("smpp",))
    spec = CarrierSpec(
        name=name,
        declared=cast(Literal["test", "live"], fields.one_of("declared", ("test", "live"))),
        host=fields.text("host"),
        port=int(fields.number("port", 1, 65_535, whole=True)),
        system_id=fields.text("system_id", re.compile(r"[!-~]{1,15}"), "1 to 15 characters"),
        password_file=fields.text("password_file"),
        sender=fields.text("sender", _SENDER, "1-11 letters, a short code or +number"),
        parts_per_second=fields.number("parts_per_second", 0.01, 1e6),
        system_type=fields.text(
            "system_type", re.compile(r"[!-~]{0,12}"), "0 to 12 characters", default=""
        ),
        binds=int(fields.number("binds", 1, 64, whole=True, default=1)),
        window=int(fields.number("window", 1, 10_000, whole=True, default=200)),
        response_timeout_s=fields.number("response_timeout_s", 0.1, 300, default=10),
        enquire_link_s=fields.number("enquire_link_s", 1, 3600, default=15),
        validity=cast(
            Validity, fields.one_of("validity", ("absolute", "relative", "none"), "absolute")
        ),
        dialect=Dialect(
            id_format=cast(
                IdFormat, fields.one_of("id_format", ("same", "hex_to_dec", "dec_to_hex"), "same")
            ),
            alphabet=Alphabet(
                fields.one_of("alphabet", [one.value for one in Alphabet], Alphabet.GSM7.value)
            ),
            utc_offset_min=int(
                fields.number("receipt_utc_offset_min", -840, 840, whole=True, default=0)
            ),
        ),
    )
    fields.finish()
    return spec


def _route(fields: "_Fields", carriers: Mapping[str, CarrierSpec]) -> Route:
    route = Route(
        prefix=fields.text("prefix", _PREFIX, 'a plus and up to 15 digits; "+" is every number'),
        language=fields.text("language", _LANGUAGE, "2 or 3 letters, e.g. ar", default=""),
        carrier=fields.one_of("carrier", list(carriers)),
    )
    if route.prefix.startswith(SYNTHETIC) and carriers[route.carrier].declared != "test":
        raise fields.wrong("carrier", "must be declared test: +999 numbers are synthetic")
    fields.finish()
    return route


_Value = TypeVar("_Value")


class _Fields:
    """One mapping of the file, read field by field; what is left over is a mistake."""

    def __init__(self, file: str, where: str, node: yaml.Node) -> None:
        self._file = file
        self._where = where
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{file}, line {_line(node)}: {where or 'the file'} is a mapping")
        self._node = node
        self._values: dict[str, yaml.Node] = {}
        self._read: set[str] = set()
        for key, value in node.value:
            if key.value in self._values:
                raise ConfigError(f"{file}, line {_line(key)}: {key.value} stands twice")
            self._values[key.value] = value

    def wrong(self, field: str, rule: str) -> ConfigError:
        """The error that names the line, the field and the rule."""
        path = f"{self._where}.{field}" if self._where else field
        line = _line(self._values.get(field, self._node))
        return ConfigError(f"{self._file}, line {line}: {path}: {rule}")

    def items(self, field: str) -> list[yaml.Node]:
        node = self._take(field)
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.wrong(field, "must be a list of at least one")
        return cast(list[yaml.Node], node.value)

    def text(
        self,
        field: str,
        pattern: "re.Pattern[str] | None" = None,
        rule: str = "must be text",
        default: str | None = None,
    ) -> str:
        return self._scalar(field, rule, default, lambda value: _text(value, pattern))

    def one_of(self, field: str, choices: Sequence[str], default: str | None = None) -> str:
        rule = f"must be {' or '.join(choices)}"
        return self._scalar(field, rule, default, lambda v: v if v in choices else None)

    def number(
        self,
        field: str,
        low: float,
        high: float,
        *,
        whole: bool = False,
        default: float | None = None,
    ) -> float:
        kind = "whole number" if whole else "number"
        rule = f"must be a {kind} from {low:g} to {high:g}"

        def read(value: str) -> float | None:
            try:
                number = float(value)
            except ValueError:
                return None
            if whole and number != int(number):
                return None
            return number if low <= number <= high else None

        return self._scalar(field, rule, default, read)

    def finish(self) -> None:
        """Raises ConfigError for a field that nobody asked for."""
        for name in self._values:
            if name not in self._read:
                known = ", ".join(sorted(self._read))
                raise self.wrong(name, f"is not known here; there are {known}")

    def _scalar(
        self,
        field: str,
        rule: str,
        default: _Value | None,
        read: Callable[[str], _Value | None],
    ) -> _Value:
        node = self._take(field)
        if node is None:
            if default is None:
                raise self.wrong(field, f"is missing; it {rule}")
            return default
        value = read(node.value) if isinstance(node, yaml.ScalarNode) else None
        if value is None:
            raise self.wrong(field, rule)
        return value

    def _take(self, field: str) -> yaml.Node | None:
        self._read.add(field)
        return self._values.get(field)


def _text(value: str, pattern: "re.Pattern[str] | None") -> str | None:
    if pattern is None:
        return value or None
    return value if pattern.fullmatch(value) else None


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
