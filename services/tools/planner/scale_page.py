"""`python -m services.tools.planner.scale_page`: the tables of docs/scale.md, `--write` into it.

Every figure of the page that is reckoned stands between two marks and is made here, so that a page
that no longer agrees with the rates, the plan or the topics is found by a test.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.tools.planner import scale
from services.tools.planner.measured import ROOMS, documented
from services.tools.planner.sizing import FILLED, sizing

PAGE = Path(__file__).resolve().parents[3] / "docs" / "scale.md"
_BLOCK = re.compile(r"<!-- scale:([a-z]+) -->\n.*?<!-- /scale -->", re.DOTALL)
_PARTITIONS = (8, 32, 64)
_STEADY_CALLS = (36.3, 500.0, 1000.0)
"""Dialled calls a second at which a process dies: about the 10× wave's busiest half-hour, and far
above it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables, or writes them into the page."""
    parser = argparse.ArgumentParser(
        prog="python -m services.tools.planner.scale_page", description=(main.__doc__ or "")
    )
    parser.add_argument("--write", action="store_true", help="write them into docs/scale.md")
    asked = parser.parse_args(arguments)
    if asked.write:
        PAGE.write_text(written(PAGE.read_text("utf-8"), tables()), "utf-8")
    else:
        for name, table in tables().items():
            print(f"{name}\n{table}\n")
    return 0


def tables() -> dict[str, str]:
    """Each table of the page by its name, as Markdown."""
    said = scale.inputs()
    made: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
        "core": _core,
        "waves": _waves,
        "national": _national,
        "worth": _worth,
        "ceilings": _ceilings,
        "death": _death,
    }
    return {name: table(said) for name, table in made.items()}


def written(page: str, made: Mapping[str, str]) -> str:
    """The page with these tables between its marks. Raises KeyError for a mark that none has."""
    return _BLOCK.sub(
        lambda found: f"<!-- scale:{found[1]} -->\n{made[found[1]]}\n<!-- /scale -->", page
    )


def names(page: str) -> list[str]:
    """The tables that a page has marks for."""
    return [found[1] for found in _BLOCK.finditer(page)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _core(said: Mapping[str, Any]) -> str:
    rows = [
        (f"{what}", f"{usual:,} µs ({low:,} to {high:,})", f"{1e6 / usual:,.0f}", "bench")
        for what, (low, usual, high) in said["bench_us"].items()
    ]
    cpu_s = dict(documented().cpu_s)
    per_call = {part: used / said["surge_dialled"] for part, used in said["surge_s"].items()}
    for part, used_s in (cpu_s | per_call).items():
        of = "an SMS" if part == "broadcast" else "a dialled call"
        rows.append((f"{part}, {of}", f"{used_s * 1e6:,.0f} µs", f"{1 / used_s:,.0f}", "surge"))
    return _table(("what", "processor time", "a second on one core", "from"), rows)


def _waves(said: Mapping[str, Any]) -> str:
    found = scale.waves(said)
    currency = said["carrier"]["price"]["currency"]
    held = [scale.kafka(said, one.sizing.partitions) for one in found]
    rows: list[tuple[str, list[str]]] = [
        ("calls", [f"{one.calls:,.0f}" for one in found]),
        ("dialled, redials counted", [f"{one.dialled:,.0f}" for one in found]),
        ("dialled a second, busiest", [f"{one.sizing.calls_per_s:.1f}" for one in found]),
        ("agents in the busiest half-hour", [f"{one.agents:,}" for one in found]),
        *(
            (
                f"{room}: replicas (cores busy)",
                [f"{one.sizing.replicas[room]} ({one.sizing.busy[room]:.3f})" for one in found],
            )
            for room in ROOMS
        ),
        ("partitions", [f"{one.sizing.partitions}" for one in found]),
        (
            "brokers (replicas of partitions on each)",
            [f"{one.brokers} ({one.replicas:,})" for one in held],
        ),
        ("Kafka, all replicas: cores busy", [f"{one.kafka_cores:.2f}" for one in found]),
        ("Valkey: cores busy", [f"{one.valkey_cores:.3f}" for one in found]),
        ("SMS parts", [f"{one.parts:,.0f}" for one in found]),
        ("SMS parts a second, busiest", [f"{one.sizing.parts_per_s:.1f}" for one in found]),
        (
            "SMPP binds",
            [f"{scale.carriers(said, one.sizing.parts_per_s).binds}" for one in found],
        ),
        (f"money, {currency}", [f"{scale.money(said, one.parts):,.0f}" for one in found]),
    ]
    return _table(("", *(one.name for one in found)), [(name, *cells) for name, cells in rows])


def _national(said: Mapping[str, Any]) -> str:
    found = scale.nationals(said)
    currency = said["carrier"]["price"]["currency"]
    held = [scale.carriers(said, one.parts_per_s) for one in found]
    brokers = [scale.kafka(said, one.partitions) for one in found]
    answering = [sizing(one.calls_per_s, 0.0, documented()) for one in found]
    rows: list[tuple[str, list[str]]] = [
        ("SMS parts", [f"{one.parts:,.0f}" for one in found]),
        ("SMS parts a second", [f"{one.parts_per_s:,.0f}" for one in found]),
        (
            "broadcast: cores busy, median (worst run)",
            [f"{one.cores:.2f} ({one.cores_worst:.2f})" for one in found],
        ),
        ("broadcast: replicas, for the worst run", [f"{one.replicas}" for one in found]),
        ("partitions", [f"{one.partitions}" for one in found]),
        (
            "brokers (replicas of partitions on each)",
            [f"{one.brokers} ({one.replicas:,})" for one in brokers],
        ),
        ("SMPP binds, all accounts", [f"{one.binds}" for one in held]),
        *(
            (f"accounts of {agreed:,} parts a second", [f"{one.accounts[agreed]}" for one in held])
            for agreed in said["carrier"]["agreed_per_s"]
        ),
        ("lists of people", [f"{one.lists}" for one in found]),
        ("calls it brings back, a second", [f"{one.calls_per_s:.1f}" for one in found]),
        ("dedup for them: replicas", [f"{one.replicas['dedup']}" for one in answering]),
        ("wave for them: cores busy, of its one", [f"{one.busy['wave']:.3f}" for one in answering]),
        (f"money, {currency}", [f"{scale.money(said, one.parts):,.0f}" for one in found]),
    ]
    return _table(
        ("", *(f"in {one.within_h} h" for one in found)),
        [(name, *cells) for name, cells in rows],
    )


def _worth(said: Mapping[str, Any]) -> str:
    replicas = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32)
    return _table(
        ("replicas", *(f"{count}" for count in replicas)),
        [
            (
                f"{partitions} partitions: worth",
                *(
                    f"{scale.worth(partitions, count):.2f}".removesuffix(".00")
                    for count in replicas
                ),
            )
            for partitions in _PARTITIONS
        ],
    )


def _ceilings(said: Mapping[str, Any]) -> str:
    wave = scale.waves({**said, "waves": said["waves"][-1:]})[0]
    return _table(
        ("what can't be had twice", "full at, dialled calls a second", "times the 10× wave"),
        [
            (what, f"{full:,.0f}", f"{full / wave.sizing.calls_per_s:,.0f}×")
            for what, full in scale.ceilings(_PARTITIONS, said)
        ],
    )


def _death(said: Mapping[str, Any]) -> str:
    cpu_s, of = documented().cpu_s["dedup"], said["takeover"]
    rows = []
    for calls_per_s in _STEADY_CALLS:
        sized = sizing(calls_per_s, 0.0, documented())
        count = sized.replicas["dedup"]
        for reading_s in of["reading_s"]:
            found = scale.death(
                calls_per_s, cpu_s, sized.partitions, count, of["session_s"] + reading_s
            )
            again = "never" if found.again_s is None else f"{found.again_s:.0f} s"
            rows.append(
                (
                    f"{calls_per_s:g} calls/s, {count} replicas, {sized.partitions} partitions",
                    f"{of['session_s']} + {reading_s} s",
                    f"{found.waiting:,.0f}",
                    again,
                )
            )
    return _table(
        (
            f"dedup, {FILLED:.0%} full at most",
            "nobody works for",
            "calls that wait then",
            "none waits after",
        ),
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
