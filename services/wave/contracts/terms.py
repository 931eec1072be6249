"""What agencies have agreed with the centre, as their file says it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from mawja.wave.v1.contracts_pb2 import ServiceModel

from services.runtime.errors import ConfigError
from services.runtime.spans import span_ms
from services.runtime.yaml_fields import Fields, fields_of

MODELS: Mapping[str, ServiceModel.ValueType] = {
    "full-service": ServiceModel.SERVICE_MODEL_FULL_SERVICE,
    "overflow": ServiceModel.SERVICE_MODEL_OVERFLOW,
    "hosting": ServiceModel.SERVICE_MODEL_HOSTING,
    "infrastructure-only": ServiceModel.SERVICE_MODEL_INFRASTRUCTURE_ONLY,
}
_FORMAT = 1
_AGENCY = re.compile("[a-z0-9-]{1,32}")
_SPAN = re.compile("[1-9][0-9]{0,4}[smh]")
_LONGEST_MS = 24 * 3600_000
_MOST_WAITING = 1_000_000
_ONLY_OVERFLOW = ("capacity", "begin", "end", "hold", "silence")


@dataclass(frozen=True, slots=True)
class Overflow:
    """When an agency's calls go to us.

    `capacity`: calls that may wait there, 0: what it reports. `begin`, `end`: shares of it, 0 to 1,
    `end` below `begin`. `hold_ms`: how long calls go to us at least. `silence_ms`: after this long
    without a report they do.
    """

    capacity: int
    begin: float
    end: float
    hold_ms: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class Contract:
    """One agency's contract, in force from `from_ms` until before `until_ms` (Unix ms, UTC days).

    `overflow` stands there under that model only.
    """

    agency: str
    version: int
    model: ServiceModel.ValueType
    source: str
    signed: date
    from_ms: int
    until_ms: int
    overflow: Overflow | None

    def holds(self, at_ms: int) -> bool:
        """Whether it is in force at that time."""
        return self.from_ms <= at_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Terms:
    """A contracts file. `examples`: it decides on rehearsals only. `most`: calls that may wait with
    us. `contracts` by agency; `lines`: where in the file each begins."""

    examples: bool
    most: int
    contracts: Mapping[str, Contract]
    lines: Mapping[str, int]

    def of(self, agency: str, at_ms: int, drill: bool) -> Contract | None:
        """The contract under which a call of `agency` is decided on at that time."""
        contract = self.contracts.get(agency)
        if contract is None or (self.examples and not drill) or not contract.holds(at_ms):
            return None
        return contract


def parse(text: str, file: str) -> Terms:
    """The terms in a file's `text`. Raises ConfigError naming `file`, line, field and rule."""
    fields = fields_of(text, file, "version, centre and contracts")
    fields.number("version", _FORMAT, _FORMAT, whole=True)
    examples = fields.flag("examples", False)
    centre = fields.within("centre")
    most = int(centre.number("most", 1, _MOST_WAITING, whole=True))
    centre.finish()
    contracts: dict[str, Contract] = {}
    lines: dict[str, int] = {}
    for one in fields.each("contracts"):
        contract = _contract(one)
        if contract.agency in contracts:
            raise one.wrong(
                "agency", f"{contract.agency} has a contract in line {lines[contract.agency]}"
            )
        contracts[contract.agency] = contract
        lines[contract.agency] = one.line("agency")
    fields.finish()
    return Terms(examples, most, contracts, lines)


def _contract(fields: Fields) -> Contract:
    model = fields.one_of("model", list(MODELS))
    contract = Contract(
        agency=fields.text("agency", _AGENCY, "must be 1 to 32 of a-z, 0-9 and -"),
        version=int(fields.number("version", 1, 1_000_000, whole=True)),
        model=MODELS[model],
        source=fields.text("source", rule="must say where this is agreed"),
        signed=fields.day("date"),
        from_ms=_ms(fields.day("from")),
        until_ms=_ms(fields.day("until")),
        overflow=_overflow(fields) if model == "overflow" else None,
    )
    if contract.until_ms <= contract.from_ms:
        raise fields.wrong("until", "must be after from")
    if contract.overflow is None:
        for name in fields.names():
            if name in _ONLY_OVERFLOW:
                raise fields.wrong(name, "is for the model overflow only")
    fields.finish()
    return contract


def _overflow(fields: Fields) -> Overflow:
    begin, end = fields.number("begin", 0.01, 1), fields.number("end", 0, 1)
    if end >= begin:
        raise fields.wrong("end", "must be below begin, or calls would go to and fro")
    return Overflow(
        capacity=int(fields.number("capacity", 0, _MOST_WAITING, whole=True, default=0)),
        begin=begin,
        end=end,
        hold_ms=_span(fields, "hold"),
        silence_ms=_span(fields, "silence"),
    )


def _span(fields: Fields, field: str) -> int:
    rule = "must be a time up to 24h, such as 90s, 20m or 2h"
    found = span_ms(fields.text(field, _SPAN, rule))
    if found is None or found > _LONGEST_MS:
        raise fields.wrong(field, rule)
    return found


def _ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def checked(terms: Terms, agencies: frozenset[str], file: str) -> None:
    """Raises ConfigError naming the line of a contract whose agency is not among `agencies`."""
    for agency in terms.contracts:
        if agency not in agencies:
            raise ConfigError(
                f"{file}, line {terms.lines[agency]}: agency: {agency} is not in the catalogue"
            )
