"""What an estimate assumes, as data with its source, and how it is reckoned. Pure."""

from dataclasses import dataclass

from mawja.outreach.v1 import proposals_pb2

from services.runtime.yaml_fields import Fields, fields_of


@dataclass(frozen=True, slots=True)
class Share:
    """`value` 0 to 1, and where it is from."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Shares of people: `redial` of those nobody answered call again; `reach` get a message before
    they would; `settles` of those need nothing more then."""

    redial: Share
    reach: Share
    settles: Share


def parse(text: str, file: str) -> Assumptions:
    """Those in a file's `text`. Raises ConfigError naming `file`, line and field."""
    fields = fields_of(text, file, "redial, reach and settles, each with value and source")
    found = Assumptions(
        redial=_share(fields.within("redial")),
        reach=_share(fields.within("reach")),
        settles=_share(fields.within("settles")),
    )
    fields.finish()
    return found


def _share(fields: Fields) -> Share:
    share = Share(fields.number("value", 0, 1), fields.text("source"))
    fields.finish()
    return share


def estimate(people: int, assumed: Assumptions) -> proposals_pb2.Estimate:
    """What a message to `people`, whose needs are not met, is expected to do: of each only the next
    call is counted."""
    shares = {"redial": assumed.redial, "reach": assumed.reach, "settles": assumed.settles}
    avoided = float(people)
    for share in shares.values():
        avoided *= share.value
    told = " × ".join(f"{share.value:g} {name}" for name, share in shares.items())
    return proposals_pb2.Estimate(
        people=people,
        calls_avoided=avoided,
        formula=f"{people} people × {told} = {avoided:.1f} calls",
        assumptions=[
            proposals_pb2.Assumption(name=name, value=share.value, source=share.source)
            for name, share in shares.items()
        ],
    )
