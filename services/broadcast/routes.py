"""The file of carriers and routes (MAWJA_CARRIERS), and which carrier a message may go to. Pure.

    carriers:
      - name: etisalat
        kind: smpp                # or http, whatsapp, files; carriers/specs.py has all their fields
        declared: live            # test: reaches no citizen
        sender: GovCare
        parts_per_second: 200
        host: smsc.example.ae
        port: 2775
        system_id: mawja
        password_file: etisalat.password
    routes:
      - {prefix: "+971", carrier: etisalat}
      - {prefix: "+971", language: ar, carrier: etisalat-arabic, weight: 3}
      - {prefix: "+971", language: ar, carrier: du-arabic}         # a quarter of them
      - {prefix: "+97150", carrier: etisalat, fallback: none}      # and no other, ever

A rehearsal and the real thing never share a carrier: a message marked as drill goes only to
carriers declared `test`, every other message only to carriers declared `live`, and a synthetic
number (+999) only to `test`. What has no such route is suppressed with a reason, never sent by a
carrier of the other kind. Among the routes that remain the longest prefix wins, then one that names
the message's language. Routes of one prefix and language share the people by their weights. Who
goes where is a function of the person and the weights, so that a rehearsal sees what happens, and
another weight moves nobody but those it must (weighted rendezvous hashing: Schindelhauer and
Schomaker, *Weighted distributed hash tables*, 2005). The other routes of a message, a shorter
prefix included, are its ways round a carrier that is away, not well, or refuses it (`detours.py`).
Whoever has a route with `fallback: none` waits for its carrier, and fails when that refuses for
good: no other is asked.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from services.broadcast.carriers.specs import CarrierSpec, carrier_of
from services.runtime.numbers import SYNTHETIC
from services.runtime.yaml_fields import Fields, fields_of

__all__ = ["CarrierSpec", "Route", "Routes", "parse"]

_PREFIX = re.compile(r"\+\d{0,15}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers that start with `prefix`, in `language` (empty: any), go to `carrier`, in proportion
    to its `weight` among the routes of the same prefix and language."""

    prefix: str
    language: str
    carrier: str
    weight: float = 1.0
    fallback: bool = True
    """Whether another carrier may have a message of this route."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The whole file."""

    carriers: Mapping[str, CarrierSpec]
    routes: Sequence[Route]

    def choose(self, number: str, language: str, drill: bool, person: bytes) -> CarrierSpec | str:
        """The carrier of a message to `number` (E.164), which is `person` (its keyed hash), or the
        reason why there is none: "synthetic-number" or "no-route"."""
        if number.startswith(SYNTHETIC) and not drill:
            return "synthetic-number"
        ranks = self.ranks(number, language, drill)
        if not ranks:
            return "no-route"
        return self.carriers[shared(ranks[0], person)]

    def ways(self, number: str, language: str, drill: bool, person: bytes) -> list[list[Route]]:
        """The routes that a message may take round its own carrier, by rank; none where the route
        that it has is the only one that it may have."""
        ranks = self.ranks(number, language, drill)
        return ranks if ranks and _own(ranks[0], person).fallback else []

    def ranks(self, number: str, language: str, drill: bool) -> list[list[Route]]:
        """The routes that a message may take, those of equal rank together, the best first; each
        carrier once."""
        wanted = "test" if drill else "live"
        spoken = language.partition("-")[0].lower()
        found: dict[tuple[int, bool], list[Route]] = {}
        for route in self.routes:
            if (
                number.startswith(route.prefix)
                and route.language in ("", spoken)
                and self.carriers[route.carrier].declared == wanted
            ):
                rank = len(route.prefix), bool(route.language)
                found.setdefault(rank, []).append(route)
        if len(found) < 2:
            return list(found.values())
        ranks, seen = [], set[str]()
        for rank in sorted(found, reverse=True):
            new = [route for route in found[rank] if route.carrier not in seen]
            seen.update(route.carrier for route in new)
            if new:
                ranks.append(new)
        return ranks


def shared(routes: Sequence[Route], person: bytes) -> str:
    """The carrier that a person has among routes of equal rank, of which there is at least one."""
    return _own(routes, person).carrier


def _own(routes: Sequence[Route], person: bytes) -> Route:
    if len(routes) == 1:
        return routes[0]
    return min(routes, key=lambda route: _far(route, person))


def _far(route: Route, person: bytes) -> float:
    """How far the person is from the route: exponentially distributed, at the rate of its weight,
    so that the nearest of several is each as often as its weight says."""
    digest = blake2b(route.carrier.encode(), key=person, digest_size=_HASH_BYTES).digest()
    part = (int.from_bytes(digest) + 1) / (256**_HASH_BYTES + 1)
    return -math.log(part) / route.weight


def parse(text: str, name: str) -> Routes:
    """The routes in `text`, the contents of the file called `name`.

    Raises ConfigError naming the line, the field and what it takes.
    """
    top = fields_of(text, name, "carriers and routes")
    carriers: dict[str, CarrierSpec] = {}
    for node in top.items("carriers"):
        fields = Fields(name, f"carriers[{len(carriers)}]", node)
        carrier = carrier_of(fields)
        if carrier.name in carriers:
            raise fields.wrong("name", "is taken by an earlier carrier")
        carriers[carrier.name] = carrier
    routes: list[Route] = []
    for node in top.items("routes"):
        routes.append(_route(Fields(name, f"routes[{len(routes)}]", node), carriers, routes))
    top.finish()
    return Routes(carriers, routes)


def _route(fields: Fields, carriers: Mapping[str, CarrierSpec], before: Sequence[Route]) -> Route:
    route = Route(
        prefix=fields.text("prefix", _PREFIX, 'a plus and up to 15 digits; "+" is every number'),
        language=fields.text("language", _LANGUAGE, "2 or 3 letters, e.g. ar", default=""),
        carrier=fields.one_of("carrier", list(carriers)),
        weight=fields.number("weight", 0.01, 100, default=1),
        fallback=fields.one_of("fallback", ["any", "none"], default="any") == "any",
    )
    for other in before:
        if (other.prefix, other.language, other.carrier) == (
            route.prefix,
            route.language,
            route.carrier,
        ):
            raise fields.wrong("carrier", "has a route of this prefix and language: say it once")
    if route.prefix.startswith(SYNTHETIC) and carriers[route.carrier].declared != "test":
        raise fields.wrong("carrier", "must be declared test: +999 numbers are synthetic")
    fields.finish()
    return route
