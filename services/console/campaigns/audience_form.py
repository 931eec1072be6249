"""Whom a campaign is for, as the form has it: people in any or all of some lists, without those in
others. Pure.

A set that is deeper than that (a command made it) is kept as it is: it travels through the form as
what the service gave, and the choices are not offered until the person says to choose anew.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import Audience, AudienceSet

from services.console.campaigns.faults import Faults
from services.console.words import N_

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_MOST = 15
_LONGEST_KEPT = 16_384


@dataclass(frozen=True, slots=True)
class Chosen:
    """`include`: lists, by id; `how` "any" or "all" of them; `exclude`: lists. `kept`: a deeper set
    in base64, which counts instead of the choices."""

    include: tuple[str, ...] = ()
    how: str = "any"
    exclude: tuple[str, ...] = ()
    kept: str = ""

    @property
    def lists(self) -> tuple[str, ...]:
        """Every list that it names."""
        return (*self.include, *self.exclude)


def posted(fields: Sequence[tuple[str, str]]) -> Chosen:
    """What a browser sent: `include`, `exclude` (some each), `how`, and `kept` with `keep`."""

    def some(name: str) -> tuple[str, ...]:
        ids = (value.lower() for key, value in fields if key == name and value)
        return tuple(dict.fromkeys(ids))

    one = dict(fields)
    return Chosen(
        include=some("include"),
        how="all" if one.get("how") == "all" else "any",
        exclude=some("exclude"),
        kept=one.get("kept", "") if "keep" in one else "",
    )


def of(audience: Audience) -> Chosen:
    """The choices that an audience is made of."""
    base, without = audience, ()
    if audience.WhichOneof("of") == "except":
        first, *others = getattr(audience, "except").audiences
        if any(one.WhichOneof("of") != "upload" for one in others):
            return _kept(audience)
        base, without = first, tuple(one.upload for one in others)
    match base.WhichOneof("of"):
        case None:
            return Chosen()
        case "upload":
            return Chosen((base.upload,), "any", without)
        case ("any_of" | "all_of") as how:
            members = getattr(base, how).audiences
            if all(one.WhichOneof("of") == "upload" for one in members):
                return Chosen(
                    tuple(one.upload for one in members), how.removesuffix("_of"), without
                )
    return _kept(audience)


def read(chosen: Chosen, faults: Faults) -> Audience | None:
    """The audience, or None and why in `faults` at `audience`."""
    if chosen.kept:
        try:
            if len(chosen.kept) > _LONGEST_KEPT:
                raise ValueError
            return Audience.FromString(base64.b64decode(chosen.kept, validate=True))
        except (DecodeError, binascii.Error, ValueError):
            faults.add("audience", N_("What was kept can't be read: choose the lists anew."))
            return None
    if not chosen.include:
        faults.add("audience", N_("Choose at least one list of people."))
        return None
    if any(not _UUID.fullmatch(one) for one in chosen.lists):
        faults.add("audience", N_("One of the lists is not known."))
        return None
    if max(len(chosen.include), len(chosen.exclude)) > _MOST:
        faults.add("audience", N_("Choose at most {most} lists."), most=_MOST)
        return None
    if set(chosen.include) <= set(chosen.exclude):
        faults.add("audience", N_("All lists that are chosen are left out again."))
        return None
    leaves = [Audience(upload=one) for one in chosen.include]
    if len(leaves) == 1:
        base = leaves[0]
    elif chosen.how == "all":
        base = Audience(all_of=AudienceSet(audiences=leaves))
    else:
        base = Audience(any_of=AudienceSet(audiences=leaves))
    if not chosen.exclude:
        return base
    made = Audience()
    getattr(made, "except").audiences.extend(
        [base, *(Audience(upload=one) for one in chosen.exclude)]
    )
    return made


def lists_of(audience: Audience) -> Iterator[str]:
    """Every list that an audience is made of, in order; one may come twice."""
    which = audience.WhichOneof("of")
    if which == "upload":
        yield audience.upload
    elif which is not None:
        for one in getattr(audience, which).audiences:
            yield from lists_of(one)


def _kept(audience: Audience) -> Chosen:
    return Chosen(kept=base64.b64encode(audience.SerializeToString()).decode())
