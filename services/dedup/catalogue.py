"""The catalogue: agencies, their services, each with its procedure, limits and telling words.

One file an agency, `catalogue/<agency>.yaml`, where its code is the file's name; adding an agency
is adding a file, and a government's own folder takes the place of the shipped one
(MAWJA_CATALOGUE). Agents see names, steps and limits; a service's code is the topic of its cases.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from mawja.common.v1 import common_pb2

from services.runtime.errors import ConfigError
from services.runtime.kinds import KINDS
from services.runtime.spans import span_ms
from services.runtime.yamls import texts_of, yaml_files, yaml_of

SHOWN_IN = ("ar", "en")
"""Languages that names and steps must have."""
_NEEDED = {"name", "kind", "first_step", "resolve", "steps", "words"}
_CODE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class Service:
    """One thing that an agency does for people.

    `name`, `steps`: by language (ar, en). `kind`: what most contacts about it are. `life_safety`:
    a life may hang on it. `first_step_ms`, `resolve_ms`: limits from the first arrival until
    somebody acts and until the need is met. `words`: what people call it, by language (BCP 47).
    """

    code: str
    agency: str
    name: Mapping[str, str]
    kind: common_pb2.ContactKind.ValueType
    life_safety: bool
    first_step_ms: int
    resolve_ms: int
    steps: Mapping[str, tuple[str, ...]]
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Agency:
    """Who is in charge. `name`: by language (ar, en)."""

    code: str
    name: Mapping[str, str]
    services: tuple[Service, ...]


class Catalogue:
    """Every agency and service, by code."""

    def __init__(self, agencies: Iterator[Agency]) -> None:
        self.agencies = {agency.code: agency for agency in agencies}
        self.services = {
            service.code: service
            for agency in self.agencies.values()
            for service in agency.services
        }

    @property
    def agencies_of(self) -> Mapping[str, str]:
        """The agency in charge of each service."""
        return {code: service.agency for code, service in self.services.items()}

    def agency_of(self, service: str) -> str:
        """The agency in charge of a service; "" when the service is not known."""
        found = self.services.get(service)
        return "" if found is None else found.agency


def read(folder: Path | None = None) -> Catalogue:
    """The catalogue in `folder`, or the shipped one. Raises ConfigError naming file and rule."""
    place: Traversable | Path = folder or files(__package__) / "catalogue"
    try:
        found = yaml_files(place)
    except OSError as error:
        raise ConfigError("the folder that MAWJA_CATALOGUE names can't be read") from error
    if not found:
        raise ConfigError(
            "MAWJA_CATALOGUE: the folder has no .yaml file; it needs one for each agency"
        )
    whose: dict[str, str] = {}
    agencies = []
    for file, text in found:
        agency = _agency(file, text)
        for service in agency.services:
            if other := whose.get(service.code):
                raise ConfigError(
                    f"catalogue/{file}: the service {service.code} is in {other} already"
                )
            whose[service.code] = file
        agencies.append(agency)
    return Catalogue(iter(agencies))


def _agency(file: str, text: str) -> Agency:
    where, code = f"catalogue/{file}", file.removesuffix(".yaml")
    given: Any = yaml_of(where, text)
    _mapping(where, given, {"name", "services"}, frozenset())
    _code(where, code)
    if not isinstance(given["services"], dict) or not given["services"]:
        raise ConfigError(f"{where}: services must be one or more")
    return Agency(
        code=code,
        name=_shown(f"{where}: name", given["name"]),
        services=tuple(
            _service(f"{where}: {name}", str(name), code, one)
            for name, one in given["services"].items()
        ),
    )


def _service(where: str, code: str, agency: str, given: Any) -> Service:
    _mapping(where, given, _NEEDED, frozenset({"life_safety"}))
    _code(where, code)
    if given["kind"] not in KINDS:
        raise ConfigError(f"{where}: kind must be one of {', '.join(KINDS)}")
    life_safety = given.get("life_safety", False)
    if not isinstance(life_safety, bool):
        raise ConfigError(f"{where}: life_safety must be true, or left out")
    steps = {
        language: _texts(f"{where}: steps, {language}", listed)
        for language, listed in _shown_mapping(f"{where}: steps", given["steps"]).items()
    }
    if len({len(listed) for listed in steps.values()}) != 1:
        raise ConfigError(f"{where}: steps must be as many in each language")
    first_step_ms = _limit(f"{where}: first_step", given["first_step"])
    resolve_ms = _limit(f"{where}: resolve", given["resolve"])
    if first_step_ms > resolve_ms:
        raise ConfigError(f"{where}: first_step must not be longer than resolve")
    if not isinstance(given["words"], dict):
        raise ConfigError(f"{where}: words must be lists by language")
    return Service(
        code=code,
        agency=agency,
        name=_shown(f"{where}: name", given["name"]),
        kind=KINDS[given["kind"]],
        life_safety=life_safety,
        first_step_ms=first_step_ms,
        resolve_ms=resolve_ms,
        steps=steps,
        words={
            str(language): _texts(f"{where}: words, {language}", listed)
            for language, listed in given["words"].items()
        },
    )


def _mapping(where: str, given: object, needed: set[str], allowed: frozenset[str]) -> None:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: names and values, one a line")
    if odd := (needed - set(given)) | (set(given) - needed - allowed):
        raise ConfigError(f"{where}: missing or not known: {', '.join(sorted(map(str, odd)))}")


def _shown_mapping(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(SHOWN_IN):
        raise ConfigError(f"{where} must be given in {' and '.join(SHOWN_IN)}")
    return given


def _shown(where: str, given: object) -> dict[str, str]:
    for language, text in _shown_mapping(where, given).items():
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{where}, {language}: must be a text")
    return dict(_shown_mapping(where, given))


def _texts(where: str, given: object) -> tuple[str, ...]:
    texts = texts_of(where, given)
    if not texts or not all(text.strip() for text in texts):
        raise ConfigError(f"{where}: must be a list of one text or more")
    return tuple(texts)


def _limit(where: str, given: object) -> int:
    limit_ms = span_ms(given)
    if limit_ms is None:
        raise ConfigError(f"{where} must be a time such as 90s, 20m, 36h or 7d")
    return limit_ms


def _code(where: str, code: str) -> None:
    if not code or not set(code) <= _CODE or len(code) > 32:
        raise ConfigError(f"{where}: the code must be 1 to 32 of a-z, 0-9 and -")
