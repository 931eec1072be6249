"""Which column of a file of calls holds what: as the caller says, else by its heading. Pure.

Nothing is guessed between two columns that could both be meant, nor from a heading that means
different things in different systems (a *duration* may begin when the call came or when it was
answered): such columns are left alone, and a person names them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.broadcast.audiences.header import listed
from services.broadcast.audiences.headings import folded, place_of, words_of
from services.broadcast.audiences.rows import BadFile
from services.runtime.errors import ConfigError

MEANINGS: Mapping[str, str] = {
    "arrived": "when the call came",
    "answered": "when an agent took it",
    "ended": "when it was over",
    "wait": "how long it waited until it was answered or abandoned",
    "talk": "how long agent and caller spoke",
    "wrap": "what the agent needed afterwards",
    "handling": "talk and wrap-up together, instead of the two",
    "duration": "from when it came to when it was over",
    "outcome": "whether it was answered or abandoned",
    "resolved": "whether the need was met",
    "number": "the caller's number; empty when withheld",
    "id": "the phone system's own id of the call",
    "line": "line or queue",
    "agency": "agency code",
    "topic": "topic code",
    "language": "language of the call",
    "agent": "staff id",
    "calls": "how many calls the row stands for, in a file of counts",
}
_HEADINGS: Mapping[str, Sequence[str]] = {
    "arrived": (
        "arrived;arrived at;arrival;arrival time;offered at;call arrival",
        "call start;call start time;start time;start;started;started at;start date;calldate;"
        "enter queue;enter time;queued at;received;received at;date time;datetime;timestamp;"
        "call date time;وقت الوصول;وقت المكالمه;بدايه المكالمه;وقت البدايه;التاريخ والوقت",
    ),
    "answered": ("answered at;answer time;answered time;connect time;connected at;وقت الرد",),
    "ended": (
        "ended;ended at;end;end time;hangup time;disconnect time;وقت النهايه;نهايه المكالمه",
    ),
    "wait": (
        "wait;wait time;waiting time;waited;queue time;queue wait;time in queue;wait seconds;"
        "speed of answer;ring time;wait s;queue wait time;مده الانتظار;وقت الانتظار;زمن الانتظار",
    ),
    "talk": ("talk;talk time;talk seconds;billsec;talk s;مده الحديث;زمن المحادثه;مده المحادثه",),
    "wrap": ("wrap;wrap up;wrap time;wrap up time;wrapup;acw;acw time;after call work",),
    "handling": ("handling;handling time;handle time;aht;handling s;مده المعالجه;زمن المعالجه",),
    "outcome": ("outcome;disposition;call status;call result;result;status;حاله المكالمه;الحاله",),
    "resolved": ("resolved;resolution;solved;fcr;first call resolution;تم الحل",),
    "number": (
        "caller;caller number;callernumber;caller id;callerid;calling number;ani;cli;from number;"
        "phone number;msisdn;src;رقم المتصل;المتصل;رقم الهاتف;رقم الجوال",
    ),
    "id": ("call id;callid;uniqueid;unique id;call uuid;linkedid;id;معرف المكالمه",),
    "line": (
        "line;service line;dnis;called number;dialled number;dialed number;الخط;رقم الخدمه",
        "queue;queue name;queuename;skill;الطابور",
    ),
    "agency": ("agency;agency code;department;entity;الجهه",),
    "topic": ("topic;service code;category;الموضوع",),
    "language": ("language;lang;call language;اللغه;لغه المكالمه",),
    "agent": ("agent id;agentid;staff id;operator id",),
    "calls": ("calls;call count;offered calls;calls offered;عدد المكالمات",),
}
_DATES = frozenset({"date", "call date", "التاريخ", "تاريخ المكالمه"})
_TIMES = frozenset({"time", "call time", "الوقت", "وقت المكالمه"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the fields stand: places from 0 (of `arrived` one, or two of date and time).

    `headings`: what the columns are called. `guessed`: fields found by their heading.
    """

    places: Mapping[str, tuple[int, ...]]
    headings: tuple[str, ...]
    guessed: frozenset[str]

    def has(self, *fields: str) -> bool:
        """Whether a column holds any of these."""
        return any(field in self.places for field in fields)

    @property
    def unused(self) -> list[str]:
        """Headings of columns that nothing is taken from."""
        used = {at for places in self.places.values() for at in places}
        return [name for at, name in enumerate(self.headings) if at not in used and name]


def said(given: Sequence[str]) -> dict[str, str]:
    """What `--map FIELD=COLUMN` says, by field. Raises ConfigError."""
    found: dict[str, str] = {}
    for one in given:
        field, equals, column = one.partition("=")
        field = field.strip().lower()
        if not equals or field not in MEANINGS:
            raise ConfigError(
                f"--map takes FIELD=COLUMN, FIELD one of {', '.join(MEANINGS)} (FIELD= for none)"
            )
        if field in found:
            raise ConfigError(f"--map names {field} twice: give one column")
        found[field] = column.strip()
    return found


def plan(cells: Sequence[str], given: Mapping[str, str]) -> Plan:
    """The plan that the header `cells` gives, with what the caller said. Raises ConfigError for a
    column that is not there, BadFile when two could be meant."""
    places: dict[str, tuple[int, ...]] = {}
    for field, column in given.items():
        if column:
            places[field] = tuple(_given(field, one, cells) for one in _columns(column, cells))
    taken = {at for held in places.values() for at in held}
    guessed = set()
    for field in MEANINGS:
        if field in given:
            continue
        at = _guessed(field, cells, taken)
        if at:
            places[field] = at
            guessed.add(field)
            taken.update(at)
    if "calls" in places and "arrived" not in places and "arrived" not in given:
        one = [at for at, cell in enumerate(cells) if folded(cell) in _DATES | _TIMES]
        if len(one) == 1:
            places["arrived"], guessed = (one[0],), guessed | {"arrived"}
    if len(places.get("arrived", ())) > 2 or any(
        len(held) > 1 for field, held in places.items() if field != "arrived"
    ):
        raise ConfigError("only `arrived` may be two columns, of date and time: Date+Time")
    return Plan(places, tuple(" ".join(cell.split()) for cell in cells), frozenset(guessed))


def _columns(column: str, cells: Sequence[str]) -> Sequence[str]:
    """A + parts two columns, unless a heading has it."""
    if any(folded(cell) == folded(column) for cell in cells):
        return (column,)
    return [one.strip() for one in column.split("+")]


def _given(field: str, column: str, cells: Sequence[str]) -> int:
    same = [at for at, cell in enumerate(cells) if folded(cell) == folded(column)]
    if len(same) == 1:
        return same[0]
    at = None if same else place_of(column)
    if at is None or at >= len(cells):
        what = f"{len(same)} columns have this heading" if same else "there is no such column"
        raise ConfigError(
            f"--map {field}: {what}{listed(cells)}. Give a heading, a letter (B) or a place (2)"
        )
    return at


def _guessed(field: str, cells: Sequence[str], taken: set[int]) -> tuple[int, ...]:
    for rank in _HEADINGS.get(field, ()):
        known = set(rank.split(";"))
        found = [
            at
            for at, cell in enumerate(cells)
            if at not in taken and not known.isdisjoint(_said_as(cell))
        ]
        if len(found) > 1:
            raise BadFile(
                "header",
                f"{len(found)} columns could hold {field} ({MEANINGS[field]}){listed(cells)}; say "
                f"which one with --map {field}=COLUMN.",
            )
        if found:
            return (found[0],)
    if field == "arrived":
        pair = [
            [at for at, cell in enumerate(cells) if folded(cell) in names and at not in taken]
            for names in (_DATES, _TIMES)
        ]
        if all(len(found) == 1 for found in pair):
            return (pair[0][0], pair[1][0])
    return ()


def _said_as(cell: str) -> set[str]:
    """A heading in the ways in which it may stand in the table: with its words apart, without what
    stands in brackets, and as it is."""
    plain = folded(cell)
    outside = folded(cell.partition("(")[0])
    apart = " ".join(word for word in words_of(cell) if word)
    return {plain, outside, apart, plain.replace("_", " "), plain.replace("-", " ")}
