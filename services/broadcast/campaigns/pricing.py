"""What texts would cost, before anybody is chosen: as if all went by one carrier."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mawja.broadcast.v1.campaigns_pb2 import CampaignText, CostRange

from services.broadcast import segments, wording
from services.broadcast.campaigns.saying import Wording, names_of, said
from services.broadcast.carriers.specs import CarrierSpec


def costs(
    texts: Sequence[CampaignText],
    language: str,
    people: Mapping[str, int],
    drill: bool,
    carriers: Iterable[CarrierSpec],
) -> list[CostRange]:
    """By currency, the least and the most. `people` by language, "" where none is known. Carriers
    without a price, and those that can't hold a text, say nothing. Raises TemplateError,
    LadderError, ValueError for a text with placeholders: what they make of it is known with the
    recipients."""
    words = Wording(texts, language)
    choices = {one: words.choice(one) for one in people}
    if any(names_of(choice) for choice in choices.values()):
        raise ValueError("a text has placeholders")
    wanted = "test" if drill else "live"
    found: defaultdict[str, list[int]] = defaultdict(list)
    for carrier in carriers:
        if carrier.declared != wanted or carrier.price is None:
            continue
        try:
            parts = sum(
                count
                * wording.cut(
                    said(choices[one], {}, carrier.wire.holds), drill, carrier.wire
                ).parts.part_count
                for one, count in people.items()
            )
        except segments.TextError:
            continue
        found[carrier.price.currency].append(parts * carrier.price.milli)
    return [
        CostRange(currency=currency, least_milli=min(sums), most_milli=max(sums))
        for currency, sums in sorted(found.items())
    ]
