"""Under which terms a campaign is rehearsed and sent: carriers, routes and sending rules, as this
process has read them. An approval holds for these only. Pure.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import sha256
from typing import Any

from services.broadcast.campaigns.returning import Shares
from services.broadcast.carriers.specs import Price
from services.broadcast.routes import Routes
from services.broadcast.rules.book import Rules


@dataclass(frozen=True, slots=True)
class Terms:
    """`digest`: SHA-256 of all that decides who gets a message, by which carrier and when; `paces`:
    parts per second that were agreed with each carrier, for one process of the service; `prices`:
    of a part, of those carriers whose price is known; `calls_back`: who calls because of it, which
    decides nothing of what is approved."""

    digest: bytes
    paces: Mapping[str, float]
    prices: Mapping[str, Price]
    calls_back: Shares = field(default_factory=dict)


def terms_of(routes: Routes, rules: Rules) -> Terms:
    """The terms that follow from two files; the same in every process that read the same."""
    said = json.dumps([_plain(routes), _plain(rules)], sort_keys=True, ensure_ascii=False)
    return Terms(
        sha256(said.encode()).digest(),
        {name: one.parts_per_second for name, one in routes.carriers.items()},
        {name: one.price for name, one in routes.carriers.items() if one.price is not None},
    )


def _plain(value: Any) -> Any:
    """Without what differs from process to process: the order of sets."""
    if is_dataclass(value) and not isinstance(value, type):
        told = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        return {"": type(value).__name__, **told}
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(one)] for key, one in value.items()]
    if isinstance(value, AbstractSet):
        return sorted((_plain(one) for one in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
