"""Where a number's owner may be, and what time it is there: by the number's prefix.

Zones are read from the installed tzdata package, never from the machine: two replicas must not
disagree on the hour. A number of a country that the rules don't list has the zones that the
numbering plans give for its prefix, and all zones of its country when the prefix tells nothing.
"""

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone

from services.broadcast.rules.book import Place, Rules

_UNKNOWN = "Etc/Unknown"


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of that name, e.g. "Asia/Dubai". Raises KeyError when tzdata has none."""
    parts = name.split("/")
    if not all(part and part[0].isalpha() for part in parts):
        raise KeyError(name)
    try:
        with files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError) as error:
        raise KeyError(name) from error


def place_of(rules: Rules, number: str) -> Place:
    """Where the owner of an E.164 number may be. Of a country with several zones: those of the
    longest prefix that fits, or all of them."""
    country = rules.country_of(number)
    if country is rules.abroad:
        return Place(country, _by_plan(number) or tuple(one for _, one in country.zones))
    length = max(
        (len(prefix) for prefix, _ in country.zones if number.startswith(prefix)), default=0
    )
    zones = [one for prefix, one in country.zones if not length or _fits(number, prefix, length)]
    return Place(country, tuple(dict.fromkeys(zones)))


def digits_of(rules: Rules) -> int:
    """How many of the first characters of an E.164 number say where its owner may be, in a country
    that the rules list; of every other country all of them may."""
    prefixes = [one.prefix for one in rules.countries]
    prefixes += [prefix for one in rules.countries for prefix, _ in one.zones]
    return max(map(len, prefixes), default=0)


def _fits(number: str, prefix: str, length: int) -> bool:
    return len(prefix) == length and number.startswith(prefix)


def _by_plan(number: str) -> tuple[ZoneInfo, ...]:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    names = timezone.time_zones_for_number(parsed)
    if _UNKNOWN in names:
        # The plan does not know the range; it may know the country.
        names = timezone.time_zones_for_geographical_number(parsed)
    found = []
    for name in names:
        try:
            found.append(zone(name))
        except KeyError:
            # Not known at all, or the plan and tzdata are not of one day.
            continue
    return tuple(found)
