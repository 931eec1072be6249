"""A campaign's plan as people write it: a YAML file, read into what the service takes. Pure.

An error names file, line, field and rule; what the service itself finds wrong is given back its
line by `Written.told`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo

import yaml
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.audiences_pb2 import AudienceQuery
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceSet, CampaignPlan, CampaignText

from services.runtime import ids
from services.runtime.errors import ConfigError, Invalid
from services.runtime.yaml_fields import Fields, fields_of
from services.tools.campaigns.query import QUERIES, Wrong, query_of
from services.tools.campaigns.times import time_ms

KINDS = {
    "information": events_pb2.CAMPAIGN_KIND_INFORMATION,
    "marketing": events_pb2.CAMPAIGN_KIND_MARKETING,
    "emergency": events_pb2.CAMPAIGN_KIND_EMERGENCY,
}
SETS = ("all_of", "any_of", "except")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
SHORT = re.compile(r"[0-9a-f][0-9a-f-]{3,35}", re.I)
"""The first letters of an id, as a person types it."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_AGENCY = re.compile(r"[a-z0-9-]{0,32}")
_LASTING = re.compile(r"(\d{1,4})([mhd])")
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 24 * 3_600_000}
_LONGEST_TEXT = 4096
_LONGEST_NAME = 200
_DEEPEST = 8
_AN_AUDIENCE = (
    "must be the id of a list, what callers are meant, or all_of, any_of or except with a list of "
    "such"
)
_NO_AUDIENCE = (
    "is missing; give the id that `mawja campaign audience` printed, here or as --audience"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A plan, and where in its file the parts of it stand."""

    plan: CampaignPlan
    file: str
    lines: Mapping[str, tuple[int, str]]
    """By the service's name of a field (plan.texts[0].template): line, and the name in the file."""
    queries: Mapping[str, AudienceQuery]
    """Whom to find, by the id that stands in the plan for the list that is yet to be made."""
    shorts: Mapping[str, str]
    """First letters of lists' ids, by the id that stands in the plan for the list."""

    def filled(self, lists: Mapping[str, str]) -> CampaignPlan:
        """The plan with its lists. `lists`: for each of `queries` and `shorts`, a list's id."""
        plan = CampaignPlan()
        plan.CopyFrom(self.plan)
        _fill(plan.audience, lists)
        return plan

    def told(self, refused: Invalid) -> ConfigError:
        """What the service found wrong, each fault with the line that it is in."""
        faults = [f"{self._place(one.field)}: {one.rule}" for one in refused.violations]
        if len(faults) == 1:
            return ConfigError(faults[0])
        return ConfigError("\n  ".join([f"{len(faults)} faults", *faults]))

    def _place(self, field: str) -> str:
        known = field
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        if not known:
            return f"{self.file}: {field.removeprefix('plan.')}"
        line, name = self.lines[known]
        return f"{self.file}, line {line}: {name}"


def read(
    text: str, file: str, now_ms: int, *, audience: str = "", zone: tzinfo | None = None
) -> Written:
    """The plan that `text` is, the contents of the file called `file`.

    `now_ms`: Unix time, from which a lasting is counted when there is no start. `audience`: the id
    of a list, for a file that leaves it out. `zone`: of times that name none; None is the
    machine's. Raises ConfigError.
    """
    fields = fields_of(text, file, "name, kind, texts, language and expires at least")
    reader = _Reader(fields, file, now_ms, zone)
    plan = reader.plan(audience)
    fields.finish()
    return Written(plan, file, reader.lines, reader.queries, reader.shorts)


def _fill(audience: Audience, lists: Mapping[str, str]) -> None:
    of = audience.WhichOneof("of")
    if of == "upload":
        audience.upload = lists.get(audience.upload, audience.upload)
    elif of is not None:
        for one in getattr(audience, of).audiences:
            _fill(one, lists)


class _Reader:
    def __init__(self, fields: Fields, file: str, now_ms: int, zone: tzinfo | None) -> None:
        self.lines: dict[str, tuple[int, str]] = {}
        self.queries: dict[str, AudienceQuery] = {}
        self.shorts: dict[str, str] = {}
        self._fields = fields
        self._file = file
        self._now_ms = now_ms
        self._zone = zone

    def plan(self, audience: str) -> CampaignPlan:
        fields = self._fields
        for name in fields.names():
            self._note(f"plan.{name}", fields, name)
        plan = CampaignPlan(
            name=self._within("name", fields.text("name"), _LONGEST_NAME),
            agency=fields.text("agency", _AGENCY, "must be up to 32 of a-z, 0-9 and -", default=""),
            kind=KINDS[fields.one_of("kind", tuple(KINDS))],
            drill=fields.flag("drill"),
            texts=self._texts("texts"),
            language=fields.text("language", _LANGUAGE, "must be a language, e.g. ar"),
            accept_missing=fields.flag("accept_missing", False),
            corrections=self._texts("corrections"),
            most_parts_per_second=fields.number("most_parts_per_second", 0, 1_000_000, default=0.0),
            brake_at=fields.number("brake_at", 0, 1, default=0.0),
            held_back=fields.number("held_back", 0, 0.5, default=0.0),
        )
        if not plan.texts:
            raise fields.wrong("texts", "is missing; it must have a text in one language at least")
        plan.audience.CopyFrom(self._audience(audience))
        starts = fields.node("starts")
        plan.starts_ms = 0 if starts is None else self._time("starts", _scalar(starts))
        plan.expires_ms = self._end(plan.starts_ms)
        for name in ("starts", "expires"):
            if name in fields.names():
                self._note(f"plan.{name}_ms", fields, name)
        if "override" in fields.names():
            self._override(plan)
        return plan

    def _note(self, path: str, fields: Fields, name: str) -> None:
        self.lines[path] = fields.line(name), path.removeprefix("plan.").removesuffix("_ms")

    def _within(self, name: str, value: str, most: int) -> str:
        if len(value.encode()) > most:
            raise self._fields.wrong(name, f"must be at most {most} bytes of UTF-8")
        return value

    def _texts(self, name: str) -> Iterator[CampaignText]:
        within = self._fields.within(name)
        for number, language in enumerate(within.names()):
            if not _LANGUAGE.fullmatch(language):
                raise within.wrong(language, "is no language; write it as in ar, en or zh-Hant")
            # A block of YAML ends with a line break that nobody means.
            template = within.text(language, rule="must be the text in this language").rstrip("\n")
            if not template.strip():
                raise within.wrong(language, "is empty; write it, or leave the language out")
            if len(template.encode()) > _LONGEST_TEXT:
                raise within.wrong(language, f"must be at most {_LONGEST_TEXT} bytes of UTF-8")
            line = within.line(language)
            for path in (f"plan.{name}[{number}]", f"plan.{name}[{number}].template"):
                self.lines[path] = line, f"{name}.{language}"
            yield CampaignText(language=language, template=template)

    def _audience(self, given: str) -> Audience:
        node = self._fields.node("audience")
        if node is not None and given:
            raise self._fields.wrong("audience", "stands here and in --audience: give one of them")
        if node is None:
            if not given:
                raise self._fields.wrong("audience", _NO_AUDIENCE)
            if not SHORT.fullmatch(given):
                raise ConfigError("--audience must be the id of a list, or its first letters")
            return Audience(upload=self._list(given))
        return self._set(node, 1)

    def _set(self, node: yaml.Node, depth: int) -> Audience:
        if isinstance(node, yaml.ScalarNode) and SHORT.fullmatch(node.value):
            return Audience(upload=self._list(node.value))
        if depth > _DEEPEST or not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, _AN_AUDIENCE)
        fields = Fields(self._file, "audience", node)
        names = fields.names()
        if len(names) != 1 or names[0] not in (*SETS, *QUERIES, "file"):
            raise self._wrong(node, f"must be one of {', '.join((*QUERIES, 'file', *SETS))}")
        if names[0] == "file":
            name = fields.text("file", SHORT, "must be the id of a list, or its first letters")
            return Audience(upload=self._list(name))
        if names[0] in QUERIES:
            return Audience(upload=self._query(node, names[0], fields.within(names[0])))
        made = Audience()
        some = [self._set(one, depth + 1) for one in fields.items(names[0])]
        getattr(made, names[0]).CopyFrom(AudienceSet(audiences=some))
        return made

    def _list(self, given: str) -> str:
        """The id of a list, or one that stands for the list with these first letters."""
        if UUID.fullmatch(given):
            return given.lower()
        name = ids.derive("short", given.lower())
        self.shorts[name] = given.lower()
        return name

    def _query(self, node: yaml.Node, of: str, fields: Fields) -> str:
        """The id that stands for a query until its list is made; the same for the same query."""
        given = {name: fields.text(name) for name in fields.names()}
        try:
            query = query_of(of, given, self._now_ms, self._zone)
        except Wrong as wrong:
            if not wrong.field:
                raise self._wrong(node, str(wrong)) from None
            raise fields.wrong(wrong.field, wrong.rule) from None
        name = ids.derive("query", query.SerializeToString(deterministic=True).hex())
        self.queries[name] = query
        return name

    def _wrong(self, node: yaml.Node, rule: str) -> ConfigError:
        return ConfigError(f"{self._file}, line {node.start_mark.line + 1}: audience: {rule}")

    def _time(self, name: str, given: str) -> int:
        try:
            return time_ms(given, self._zone)
        except ValueError as error:
            raise self._fields.wrong(name, str(error)) from None

    def _end(self, starts_ms: int) -> int:
        node = self._fields.node("expires")
        if node is None:
            raise self._fields.wrong(
                "expires", "is missing; it must be a time, or how long after the start, e.g. 6h"
            )
        given = _scalar(node)
        if (lasting := _LASTING.fullmatch(given)) is not None:
            return (starts_ms or self._now_ms) + int(lasting[1]) * _UNIT_MS[lasting[2]]
        return self._time("expires", given)

    def _override(self, plan: CampaignPlan) -> None:
        within = self._fields.within("override")
        for name in within.names():
            self.lines[f"plan.override.{name}"] = within.line(name), f"override.{name}"
        plan.override.legal_basis = within.text("legal_basis")
        plan.override.order = within.text("order")
        plan.override.ignores_opt_out = within.flag("ignores_opt_out", False)
        within.finish()


def _scalar(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
