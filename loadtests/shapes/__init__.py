"""When contacts arrive: named shapes as data, or any arrival file, scaled to a count and a time.

A shape is a piecewise-constant rate over its duration. Given N arrivals, the times of a
non-homogeneous Poisson process are N independent draws from the density that the rate defines, in
order; they are made here one after the other, so a month costs no more memory than a minute.
"""

import csv
import math
import random
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)([dhms]))")
TIME_HEADERS = frozenset(
    {"datetime", "time", "timestamp", "date", "start", "starttime", "interval", "period", "ds", "t"}
)
COUNT_HEADERS = frozenset(
    {"calls", "count", "volume", "arrivals", "contacts", "offered", "n", "y", "callvolume"}
)


class ShapeError(ValueError):
    """A shape or an arrival file that can't be used; the sentence says where and why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A piecewise-constant arrival rate: `edges` rise from 0 to 1, `weights[i]` is the share of
    arrivals between `edges[i]` and `edges[i + 1]` (any positive scale)."""

    edges: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.weights) + 1 or not self.weights:
            raise ShapeError("a profile needs one edge more than weights, and at least one weight")
        if self.edges[0] != 0.0 or self.edges[-1] != 1.0:
            raise ShapeError("a profile's edges start at 0 and end at 1")
        if any(b <= a for a, b in pairwise(self.edges)):
            raise ShapeError("a profile's edges must rise")
        if any(not math.isfinite(w) or w < 0 for w in self.weights) or sum(self.weights) <= 0:
            raise ShapeError("a profile's weights are finite, not negative, and not all zero")

    def arrivals(self, count: int, duration_s: float, rng: random.Random) -> Iterator[float]:
        """Exactly `count` arrival times in seconds, rising, of a Poisson process with this rate.

        Sorted uniforms come from the smallest up: with k left, the next is 1-(1-u)*V^(1/k)
        (L. Devroye, Non-Uniform Random Variate Generation, 1986, ch. V.3.1), through the
        inverse of the cumulative rate.
        """
        total = sum(self.weights)
        shares = [w / total for w in self.weights]
        ends = list(accumulate(shares))
        ends[-1] = 1.0
        # A last bin without weight must not catch the rounding of the sum.
        for i in range(len(shares) - 1, -1, -1):
            ends[i] = 1.0
            if shares[i] > 0:
                break
        bin_, low = 0, 0.0
        left_over = 1.0
        for left in range(count, 0, -1):
            left_over *= rng.random() ** (1.0 / left)
            u = 1.0 - left_over
            while u >= ends[bin_] and ends[bin_] < 1.0:
                low = ends[bin_]
                bin_ += 1
            inside = (u - low) / shares[bin_] if shares[bin_] > 0 else 0.0
            start, end = self.edges[bin_], self.edges[bin_ + 1]
            yield duration_s * (start + (end - start) * min(inside, 1.0))

    def rate_at(self, fraction: float) -> float:
        """Share of all arrivals per unit of duration, at `fraction` (0..1) of it; averages 1."""
        i = min(bisect_right(self.edges, fraction), len(self.weights)) - 1
        width = self.edges[i + 1] - self.edges[i]
        return self.weights[i] / sum(self.weights) / width

    def peak_rate(self) -> float:
        """The highest `rate_at`: how much busier the busiest bin is than the average."""
        total = sum(self.weights)
        return max(
            w / total / (b - a)
            for w, (a, b) in zip(self.weights, pairwise(self.edges), strict=True)
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A surge as data: how many contacts, for how long, when, about what, met by which floor.

    `calls` is the number of fresh contacts (calls and messages, without redials), `duration_s`
    virtual seconds. The floor is sized to a share of dialled calls answered (`answered`), or to a
    `service_level` within `within_s` in the busiest bin.
    """

    name: str
    calls: int
    duration_s: float
    profile: Profile
    contacts_per_person: float = 3.0
    second_need: float = 0.22
    topics: Mapping[str, float] = field(default_factory=dict)
    answered: float | None = 0.75
    service_level: float | None = None
    within_s: float = 20.0
    resolved: float = 0.58
    transferred: float = 0.12

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise ShapeError(f"{self.name}: calls must be at least 1, not {self.calls}")
        if not math.isfinite(self.duration_s) or self.duration_s <= 0:
            raise ShapeError(f"{self.name}: the duration must be more than 0 seconds")
        if self.contacts_per_person < 1:
            raise ShapeError(f"{self.name}: contacts_per_person must be at least 1")
        for what in ("second_need", "resolved", "transferred"):
            if not 0 <= getattr(self, what) <= 1:
                raise ShapeError(f"{self.name}: {what} must be between 0 and 1")
        if self.resolved + self.transferred > 1:
            raise ShapeError(f"{self.name}: resolved and transferred together exceed 1")
        if (self.answered is None) == (self.service_level is None):
            raise ShapeError(f"{self.name}: give the floor either answered or service_level")
        for target in (self.answered, self.service_level):
            if target is not None and not 0 < target < 1:
                raise ShapeError(f"{self.name}: the floor's target must be between 0 and 1")

    def scaled(self, calls: int | None = None, duration_s: float | None = None) -> "Shape":
        """The same shape with another number of contacts or another length."""
        return replace(
            self,
            calls=self.calls if calls is None else calls,
            duration_s=self.duration_s if duration_s is None else duration_s,
        )


def seconds(text: str | float) -> float:
    """Seconds of a duration such as `12h`, `1h30m`, `90s`, `30d`, or a plain number of seconds."""
    if not isinstance(text, str):
        return float(text)
    compact = text.strip().lower().replace(" ", "")
    parts = _DURATION.findall(compact)
    if parts and "".join(n + u for n, u in parts) == compact:
        return sum(float(n) * _UNITS[u] for n, u in parts)
    try:
        value = float(compact)
    except ValueError:
        raise ShapeError(f"'{text}' is not a duration; write 12h, 10m, 90s or 1h30m") from None
    if not math.isfinite(value):
        raise ShapeError(f"'{text}' is not a duration; write 12h, 10m, 90s or 1h30m")
    return value


def names() -> list[str]:
    """The shapes that come with the house."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name: str) -> Shape:
    """The shape of this name."""
    path = FOLDER / f"{name}.yaml"
    if name not in names():
        raise ShapeError(f"there is no shape '{name}'; there are {', '.join(names())}")
    return parse(yaml.safe_load(path.read_text(encoding="utf-8")), path.name)


def parse(data: Any, where: str) -> Shape:
    """A shape from the data of its file. `where` names the file in errors."""
    try:
        if not isinstance(data, dict):
            raise ShapeError("a shape is a mapping with name, calls, duration and a rate")
        duration_s = seconds(data["duration"])
        if "points" in data:
            profile = _from_points(data["points"], seconds(data["bin"]), duration_s)
        elif "hours" in data:
            profile = _from_hours(data["days"], data["hours"], duration_s)
        else:
            raise ShapeError("a shape needs points, or days and hours")
        people, floor = data.get("people", {}), data.get("floor", {})
        return Shape(
            name=str(data["name"]),
            calls=int(data["calls"]),
            duration_s=duration_s,
            profile=profile,
            topics={str(k): float(v) for k, v in data.get("topics", {}).items()},
            answered=floor.get("answered"),
            service_level=floor.get("service_level"),
            **{k: float(people[k]) for k in ("contacts_per_person", "second_need") if k in people},
            **{k: float(floor[k]) for k in ("within_s", "resolved", "transferred") if k in floor},
        )
    except ShapeError as wrong:
        raise ShapeError(f"{where}: {wrong}") from None
    except KeyError as missing:
        raise ShapeError(f"{where}: {missing.args[0]} is missing") from None
    except (TypeError, ValueError, AttributeError) as wrong:
        raise ShapeError(f"{where}: {wrong}") from None


def _from_points(points: Sequence[Mapping[str, Any]], bin_s: float, duration_s: float) -> Profile:
    at = [seconds(p["at"]) for p in points]
    rate = [float(p["rate"]) for p in points]
    if len(at) < 2 or at[0] != 0 or at[-1] != duration_s or any(b <= a for a, b in pairwise(at)):
        raise ShapeError("points must rise from 0 to the duration, at least two of them")
    bins = max(1, round(duration_s / bin_s))
    weights = []
    for i in range(bins):
        middle = (i + 0.5) * duration_s / bins
        j = min(bisect_right(at, middle), len(at) - 1)
        part = (middle - at[j - 1]) / (at[j] - at[j - 1])
        weights.append(rate[j - 1] + part * (rate[j] - rate[j - 1]))
    return Profile(_even_edges(bins), tuple(weights))


def _from_hours(days: Sequence[float], hours: Sequence[float], duration_s: float) -> Profile:
    if len(days) != 7 or len(hours) != 24:
        raise ShapeError("give 7 days (from Sunday) and 24 hours (from midnight)")
    bins = round(duration_s / 3600)
    if bins < 1 or bins * 3600 != duration_s:
        raise ShapeError("a shape of days and hours lasts a whole number of hours")
    weights = tuple(float(days[h // 24 % 7]) * float(hours[h % 24]) for h in range(bins))
    return Profile(_even_edges(bins), weights)


def _even_edges(bins: int) -> tuple[float, ...]:
    return (*(i / bins for i in range(bins)), 1.0)


def read_arrivals(path: Path | str) -> Shape:
    """A shape from a CSV of counts per interval, such as `DateTime,Calls`.

    See `read_counts` for the file; gaps are times without calls. Its `calls` is the sum and its
    duration the span of the file; scale it as needed. Raises `ShapeError`.
    """
    path = Path(path)
    times, counts, step = read_counts(path)
    span = times[-1] - times[0] + step
    edges, weights = [0.0], []
    for i, (start, count) in enumerate(zip(times, counts, strict=True)):
        end = min(start + step, times[i + 1]) if i + 1 < len(times) else start + step
        begin = (start - times[0]) / span
        if begin > edges[-1]:
            edges.append(begin)
            weights.append(0.0)
        edges.append((end - times[0]) / span)
        weights.append(count)
    edges[-1] = 1.0
    total = sum(counts)
    if total <= 0:
        raise ShapeError(f"{path.name}: every count is 0; there is nothing to replay")
    return Shape(
        name=path.stem,
        calls=max(1, round(total)),
        duration_s=span,
        profile=Profile(tuple(edges), tuple(weights)),
    )


def read_counts(path: Path) -> tuple[list[float], list[float], float]:
    """Times (Unix seconds, or plain ones), counts, and the interval in seconds, of a CSV.

    Columns are found by their names, whatever their case, order and delimiter (`,` `;` tab).
    Times are ISO 8601, all with or all without a zone, or plain seconds, in rising order; the
    interval is the most common step. Counts may be fractions. Raises `ShapeError` naming the line
    and column of the first thing that can't be used.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline()
            lines.seek(0)
            delimiter = max(",;\t", key=head.count)
            times, counts = _rows(csv.reader(lines, delimiter=delimiter), path.name)
    except OSError as wrong:
        raise ShapeError(f"{path}: can't be read: {wrong.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise ShapeError(f"{path.name}: is not UTF-8 text ({wrong.reason})") from None
    except csv.Error as wrong:
        raise ShapeError(f"{path.name}: is not CSV ({wrong})") from None
    steps: dict[float, int] = {}
    for a, b in pairwise(times):
        steps[b - a] = steps.get(b - a, 0) + 1
    return times, counts, min(steps, key=lambda s: (-steps[s], s))


def _rows(reader: Any, name: str) -> tuple[list[float], list[float]]:
    header = next(reader, None)
    if not header:
        raise ShapeError(f"{name}: is empty; it needs a header such as DateTime,Calls")
    plain = [re.sub(r"[^a-z]", "", h.lower()) for h in header]
    time_at = _column(plain, TIME_HEADERS, header, "time", name)
    count_at = _column(plain, COUNT_HEADERS, header, "count", name)
    times: list[float] = []
    counts: list[float] = []
    zoned: bool | None = None
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{name} line {reader.line_num}"
        if len(row) <= max(time_at, count_at):
            raise ShapeError(f"{where}: has {len(row)} columns, the header has {len(header)}")
        at, has_zone = time_of(row[time_at].strip(), f"{where}, column {header[time_at]}")
        if zoned is not None and has_zone is not zoned:
            raise ShapeError(f"{where}, column {header[time_at]}: some times have a zone, some not")
        zoned = has_zone
        if times and at <= times[-1]:
            raise ShapeError(
                f"{where}, column {header[time_at]}: '{row[time_at]}' does not come after the row "
                "before it; sort the file by time and give each interval once"
            )
        times.append(at)
        counts.append(_count(row[count_at].strip(), f"{where}, column {header[count_at]}"))
    if len(times) < 2:
        raise ShapeError(f"{name}: has {len(times)} intervals; at least 2 are needed")
    return times, counts


def _column(
    plain: list[str], known: frozenset[str], header: list[str], what: str, name: str
) -> int:
    found = [i for i, h in enumerate(plain) if h in known]
    if len(found) == 1:
        return found[0]
    seen = ", ".join(header)
    wanted = ", ".join(sorted(known))
    if found:
        raise ShapeError(f"{name} line 1: several {what} columns among ({seen}); keep one")
    raise ShapeError(f"{name} line 1: no {what} column among ({seen}); name it one of {wanted}")


def time_of(text: str, where: str) -> tuple[float, bool | None]:
    """Seconds of a time of a file, and whether it names its zone (None: plain seconds). `where`
    names line and column in errors."""
    try:
        value = float(text)
        if math.isfinite(value):
            return value, None
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        raise ShapeError(
            f"{where}: '{text}' is not a time; write 2020-03-14T08:00 or seconds"
        ) from None
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC).timestamp(), False
    return at.timestamp(), True


def _count(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ShapeError(f"{where}: '{text}' is not a count") from None
    if not math.isfinite(value) or value < 0:
        raise ShapeError(f"{where}: '{text}' is not a count; it must be 0 or more")
    return value
