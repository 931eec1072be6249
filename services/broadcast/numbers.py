"""Whether an SMS may go to a number at all, by the number alone. Pure.

Country code 999 is not assigned (ITU-T E.164, list of country codes), so no citizen can have such
a number: it belongs to rehearsals, `+9994…` standing for fixed lines.
"""

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

SYNTHETIC = "+999"
_SYNTHETIC_LENGTH = 13
_NO_SMS = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.UAN,
        PhoneNumberType.VOICEMAIL,
    }
)


@lru_cache(maxsize=65_536)
def obstacle(e164: str) -> str:
    """Why no SMS can go there: "invalid-number", "landline", or empty when nothing is known
    against it. A number that the numbering plans don't know yet is given the benefit."""
    if e164.startswith(SYNTHETIC):
        if len(e164) != _SYNTHETIC_LENGTH:
            return "invalid-number"
        return "landline" if e164[4] == "4" else ""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return "invalid-number"
    if not phonenumbers.is_possible_number(number):
        return "invalid-number"
    return "landline" if phonenumbers.number_type(number) in _NO_SMS else ""
