"""The compose page's form and a campaign's plan, each made of the other. Pure.

What a form holds is text; what can't be read is told at its field and the form is shown again as it
was. Times are written in the centre's zone, shares in percent. The languages of the form are those
of its text fields, in order (`languages`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan, CampaignText

from services.console.campaigns import audience_form
from services.console.campaigns.faults import Faults
from services.console.words import N_

KINDS = {
    "information": events_pb2.CAMPAIGN_KIND_INFORMATION,
    "marketing": events_pb2.CAMPAIGN_KIND_MARKETING,
    "emergency": events_pb2.CAMPAIGN_KIND_EMERGENCY,
}
FIRST = ("ar", "en")
"""Languages of a new form."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_AGENCY = re.compile(r"[a-z0-9-]{0,32}")
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_ORDER = 200, 4096, 500
_MOST_LANGUAGES = 16
_LASTS_MS = 6 * 3_600_000
_HOUR_MINUTES = 16
_TIME = "%Y-%m-%dT%H:%M"


@dataclass(slots=True)
class Form:
    """What stands in the fields: `one` by name, `texts` and `corrections` by language, and the
    audience's choices. `ticked`: boxes that are set."""

    one: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    corrections: dict[str, str] = field(default_factory=dict)
    ticked: set[str] = field(default_factory=set)
    audience: audience_form.Chosen = field(default_factory=audience_form.Chosen)

    def __post_init__(self) -> None:
        self.one = {**dict.fromkeys(SINGLES, ""), **self.one}

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with a text field, in order."""
        return tuple(self.texts)

    def with_language(self, tag: str) -> bool:
        """Adds fields for a language; False when it is none, is there, or they are too many."""
        known = {one.lower() for one in self.texts}
        if not _LANGUAGE.fullmatch(tag) or tag.lower() in known or len(known) >= _MOST_LANGUAGES:
            return False
        self.texts[tag] = self.corrections[tag] = ""
        return True


BOXES = ("drill", "accept_missing", "ignores_opt_out")
SINGLES = (
    "name",
    "agency",
    "kind",
    "language",
    "starts",
    "expires",
    "legal_basis",
    "order",
    "most_parts_per_second",
    "brake_at",
    "held_back",
)


def blank(now_ms: int, zone: tzinfo, agency: str = "") -> Form:
    """A new form, as a drill: who sends to people says so. Its end is 6 hours away."""
    form = Form(
        one={"kind": "information", "language": FIRST[0], "agency": agency},
        texts=dict.fromkeys(FIRST, ""),
        corrections=dict.fromkeys(FIRST, ""),
        ticked={"drill"},
    )
    form.one["expires"] = _written(now_ms + _LASTS_MS, zone)
    return form


def posted(fields: Sequence[tuple[str, str]]) -> Form:
    """What a browser sent. Fields that no form has are left out; line ends are made one kind."""
    form = Form()
    for name, value in fields:
        value = value.replace("\r\n", "\n")
        of, _, tag = name.partition("_")
        if name in SINGLES:
            form.one[name] = value.strip()
        elif name in BOXES:
            form.ticked.add(name)
        elif of in ("text", "correction") and _LANGUAGE.fullmatch(tag):
            texts = form.texts if of == "text" else form.corrections
            if len(texts) < _MOST_LANGUAGES:
                texts[tag] = value
    for tag in form.texts:
        form.corrections.setdefault(tag, "")
    form.audience = audience_form.posted(fields)
    return form


def of_plan(plan: CampaignPlan, zone: tzinfo) -> Form:
    """The form that shows a plan."""
    texts = {one.language: one.template for one in plan.texts}
    corrections = {one.language: one.template for one in plan.corrections}
    tags = [*texts, *(tag for tag in corrections if tag not in texts)]
    kind = next((name for name, value in KINDS.items() if value == plan.kind), "information")
    form = Form(
        one={
            "name": plan.name,
            "agency": plan.agency,
            "kind": kind,
            "language": plan.language,
            "starts": _written(plan.starts_ms, zone),
            "expires": _written(plan.expires_ms, zone),
            "legal_basis": plan.override.legal_basis,
            "order": plan.override.order,
            "most_parts_per_second": _figure(plan.most_parts_per_second),
            "brake_at": _figure(plan.brake_at, 100),
            "held_back": _figure(plan.held_back, 100),
        },
        texts={tag: texts.get(tag, "") for tag in tags},
        corrections={tag: corrections.get(tag, "") for tag in tags},
        audience=audience_form.of(plan.audience),
    )
    for box, set_ in (
        ("drill", plan.drill),
        ("accept_missing", plan.accept_missing),
        ("ignores_opt_out", plan.override.ignores_opt_out),
    ):
        if set_:
            form.ticked.add(box)
    return form


def read(form: Form, now_ms: int, zone: tzinfo) -> tuple[CampaignPlan, Faults]:
    """The plan that a form means, and what is wrong with it; with a fault the plan counts for
    nothing. `now_ms`: Unix time; `zone`: of the times."""
    faults, plan = Faults(), CampaignPlan()
    name = form.one.get("name", "")
    if not name:
        faults.add("name", N_("Give it a name."))
    elif len(name.encode()) > _LONGEST_NAME:
        faults.add("name", N_("It is too long: at most {most} bytes."), most=_LONGEST_NAME)
    plan.name = name
    plan.agency = form.one.get("agency", "")
    if not _AGENCY.fullmatch(plan.agency):
        faults.add("agency", N_("An agency's code has small letters, digits and - only."))
    kind = KINDS.get(form.one.get("kind", ""))
    if kind is None:
        faults.add("kind", N_("Say what it is for."))
    else:
        plan.kind = kind
    plan.drill = "drill" in form.ticked
    plan.accept_missing = "accept_missing" in form.ticked
    _texts(form, plan, faults)
    _times(form, plan, now_ms, zone, faults)
    plan.most_parts_per_second = _number(form, "most_parts_per_second", 1_000_000, faults)
    plan.brake_at = _number(form, "brake_at", 100, faults, of=100)
    plan.held_back = _number(form, "held_back", 50, faults, of=100)
    _override(form, plan, faults)
    audience = audience_form.read(form.audience, faults)
    if audience is not None:
        plan.audience.CopyFrom(audience)
    return plan, faults


def field_of(service_field: str, form: Form) -> str:
    """The form's name of a field that the service names, e.g. `plan.texts[1].template`; "" when
    the form has none."""
    path = service_field.removeprefix("plan.")
    listed = re.match(r"(texts|corrections)\[(\d+)\]", path)
    if listed is not None:
        filled = [tag for tag, text in getattr(form, listed[1]).items() if text.strip()]
        number = int(listed[2])
        if number < len(filled):
            return f"{listed[1].removesuffix('s')}_{filled[number]}"
    return _FIELDS.get(path, _FIELDS.get(re.split(r"[.\[]", path)[0], ""))


_FIELDS: Mapping[str, str] = {
    "name": "name",
    "agency": "agency",
    "kind": "kind",
    "audience": "audience",
    "texts": "texts",
    "corrections": "corrections",
    "language": "language",
    "accept_missing": "accept_missing",
    "starts_ms": "starts",
    "expires_ms": "expires",
    "override": "legal_basis",
    "override.legal_basis": "legal_basis",
    "override.order": "order",
    "most_parts_per_second": "most_parts_per_second",
    "brake_at": "brake_at",
    "held_back": "held_back",
}


def _texts(form: Form, plan: CampaignPlan, faults: Faults) -> None:
    for name, texts, into in (
        ("text", form.texts, plan.texts),
        ("correction", form.corrections, plan.corrections),
    ):
        for tag, text in texts.items():
            if not text.strip():
                continue
            if len(text.encode()) > _LONGEST_TEXT:
                most = _LONGEST_TEXT
                faults.add(f"{name}_{tag}", N_("It is too long: at most {most} bytes."), most=most)
            into.append(CampaignText(language=tag, template=text))
    if not plan.texts:
        faults.add("texts", N_("Write the text in one language at least."))
    plan.language = form.one.get("language", "")
    if plan.texts and plan.language not in {one.language for one in plan.texts}:
        faults.add("language", N_("Choose a language that has a text."))


def _times(form: Form, plan: CampaignPlan, now_ms: int, zone: tzinfo, faults: Faults) -> None:
    for name in ("starts", "expires"):
        given = form.one.get(name, "")
        if not given:
            continue
        try:
            at = datetime.strptime(given[:_HOUR_MINUTES], _TIME).replace(tzinfo=zone)
        except ValueError:
            faults.add(name, N_("Write a day and an hour."))
            continue
        setattr(plan, f"{name}_ms", int(at.astimezone(UTC).timestamp() * 1000))
    if not form.one.get("expires"):
        faults.add("expires", N_("Say when it ends: nothing is sent after that."))
    elif "expires" not in faults and plan.expires_ms <= max(now_ms, plan.starts_ms):
        faults.add("expires", N_("must be after now, and after the start"))


def _override(form: Form, plan: CampaignPlan, faults: Faults) -> None:
    basis, order = form.one.get("legal_basis", ""), form.one.get("order", "")
    if not (basis or order or "ignores_opt_out" in form.ticked):
        return
    plan.override.legal_basis = basis
    plan.override.order = order
    plan.override.ignores_opt_out = "ignores_opt_out" in form.ticked
    if plan.kind != KINDS["emergency"]:
        faults.add("legal_basis", N_("only an emergency may override rules"))
        return
    if not basis:
        faults.add("legal_basis", N_("Give the code of the legal basis."))
    if not len(order) >= 3 or len(order.encode()) > _LONGEST_ORDER:
        faults.add("order", N_("Give the order: number, date, who signed."))


def _number(form: Form, name: str, most: int, faults: Faults, of: int = 1) -> float:
    """What stands in a field, divided by `of`; as decimals, so that a plan comes back as it was."""
    given = form.one[name].replace("٫", ".").replace(",", ".")
    if not given:
        return 0.0
    try:
        # Decimal reads the digits of every script.
        value = Decimal(given)
    except InvalidOperation:
        value = Decimal(-1)
    if not (value.is_finite() and 0 <= value <= most):
        faults.add(name, N_("Give a number from 0 to {most}."), most=most)
        return 0.0
    return float(value / of)


def _figure(value: float, of: int = 1) -> str:
    return f"{Decimal(repr(value)) * of:f}".rstrip("0").rstrip(".") if value else ""


def _written(at_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):{_TIME}}" if at_ms else ""


_PLACE = re.compile(r"\{\{|\}\}|\{([^{}\n|]+)(?:\|([^{}\n]*))?\}")


def filled(template: str) -> str:
    """What a text says when nothing is known of the person: each placeholder's default, or its name
    where it has none. Only to be counted: the service's own reading decides what is sent."""

    def said(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        return match[1].strip() if match[2] is None else match[2]

    # Braces that are text are doubled again: what is estimated is a template itself.
    return re.sub(r"[{}]", lambda one: one[0] * 2, _PLACE.sub(said, template))


def has_fields(template: str) -> bool:
    """Whether it has placeholders."""
    return any(match[1] is not None for match in _PLACE.finditer(template))
