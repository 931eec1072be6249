"""Ids are derived from what makes the thing itself, so that doing something twice names one thing.

All are UUIDv5 (RFC 9562) under one namespace, with the parts separated by U+001F so that no two
lists of parts collide.
"""

import unicodedata
import uuid
from hashlib import sha1

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mawja").bytes
# Crockford's base 32 without Z: as many letters as the check's modulus, so that no two are equal.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXY"
_VALUE = {letter: value for value, letter in enumerate(_LETTERS)}
# Letters that people write for digits when they hear a number over the telephone.
_MISHEARD = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V"})
_NUMBER_LENGTH = 9


def derive(*parts: str) -> str:
    """The UUIDv5 of `parts`, in canonical text form. At least one part; the kind comes first."""
    # Written out: uuid.uuid5 costs four times as much, on the path of every contact.
    digest = bytearray(
        sha1(_NAMESPACE + "\x1f".join(parts).encode(), usedforsecurity=False).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def contact_id(source: str, idempotency_key: str) -> str:
    """The contact that `source` knows by `idempotency_key`."""
    return derive("contact", source, idempotency_key)


def case_id(first_contact_id: str) -> str:
    """The case that a contact opened."""
    return derive("case", first_contact_id)


def split_case_id(first_contact_id: str, command: str) -> str:
    """The case that a command split off, its earliest contact first."""
    return derive("case", first_contact_id, command)


def follow_up_id(cause: str, what: str) -> str:
    """The command that asks `what` of another partition because of a command or contact."""
    return derive("command", "follow-up", what, cause)


def message_id(case: str, step: str) -> str:
    """The one message of a step of a case."""
    return derive("message", case, step)


def callback_id(case: str, contact: str) -> str:
    """The callback owed for one abandoned contact of a case."""
    return derive("callback", case, contact)


def command_id(subject: str, method: str, request_id: str) -> str:
    """A command of a caller: the same request of the same caller is the same command."""
    return derive("command", subject, method, request_id)


def case_number(case: str) -> str:
    """The number of a case that people can read out: "MW-" and 10 letters of
    Crockford's base 32 (without Z).

    45 bits of the case's id and a check letter (their sum, weighted by place, modulo 31: every
    single wrong letter and every swap of neighbours is caught).
    """
    value = int(case.replace("-", ""), 16) >> (128 - 45)
    letters = [(value >> (5 * i)) & 31 for i in reversed(range(_NUMBER_LENGTH))]
    # Letters are taken modulo 31 so that the weighted check is over a prime field.
    letters = [letter % 31 for letter in letters]
    body = "".join(_LETTERS[letter] for letter in letters)
    return f"MW-{body[:5]}-{body[5:]}{_LETTERS[_check(letters)]}"


def parse_case_number(text: str) -> str | None:
    """The canonical form of a case number as a person typed it, or None when it is mistyped."""
    plain = text.upper().replace("-", "").replace(" ", "")
    # Without its prefix a number may begin with these two letters itself.
    if len(plain) == _NUMBER_LENGTH + 3:
        plain = plain.removeprefix("MW")
    plain = plain.translate(_MISHEARD)
    if len(plain) != _NUMBER_LENGTH + 1 or any(c not in _VALUE for c in plain):
        return None
    letters = [_VALUE[c] for c in plain]
    if letters[-1] != _check(letters[:-1]):
        return None
    return f"MW-{plain[:5]}-{plain[5:]}"


def _check(letters: list[int]) -> int:
    return sum(weight * letter for weight, letter in enumerate(letters, start=1)) % 31


def same_subject(one: str, other: str) -> bool:
    """Whether two subjects of tokens must be taken for one person: identity providers hand out the
    same account in other cases (RFC 5321 lets mail addresses differ so), widths and with spaces or
    marks that nobody sees around it. Too often "yes" costs a second approver, too often "no" lets
    somebody approve what they wrote."""
    return _plain(one) == _plain(other)


def _plain(subject: str) -> str:
    folded = unicodedata.normalize("NFKC", subject).casefold()
    seen = (char for char in folded if unicodedata.category(char) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFKC", "".join(seen)).strip()
