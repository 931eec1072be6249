"""What a telephone number is: a mobile, a fixed line, or made up for a rehearsal. Pure.

Country code 999 is not assigned by the ITU (Recommendation E.164, list of country codes), so no
citizen can have such a number: `+9995…` stands for a mobile, `+9994…` for a fixed line.
"""

from functools import lru_cache

import phonenumbers
from mawja.common.v1 import common_pb2
from phonenumbers import PhoneNumberType

SYNTHETIC = "+999"
_SYNTHETIC_LENGTH = 13
_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
_NO_SMS = {
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.UAN,
    PhoneNumberType.VOICEMAIL,
}


def is_synthetic(e164: str) -> bool:
    """Whether the number can only belong to a rehearsal."""
    return e164.startswith(SYNTHETIC)


@lru_cache(maxsize=65536)
def line_of(e164: str) -> "common_pb2.Line.ValueType | None":
    """What an E.164 number can be used for; None when it cannot be a number of its country.

    LINE_UNSPECIFIED where the numbering plans don't tell: a new range is not a wrong one.
    """
    if is_synthetic(e164):
        if len(e164) != _SYNTHETIC_LENGTH:
            return None
        return common_pb2.LINE_FIXED if e164[4] == "4" else common_pb2.LINE_MOBILE
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    kind = phonenumbers.number_type(number)
    if kind in _MOBILE:
        return common_pb2.LINE_MOBILE
    return common_pb2.LINE_FIXED if kind in _NO_SMS else common_pb2.LINE_UNSPECIFIED
