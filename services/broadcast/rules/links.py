"""The token of a link by which a person opts out: 22 characters that need no table.

A person's 16-byte hash, an end and a tag do not fit into 22 characters (132 bits), so the token
holds what the hash is made from: the number (50 bits), the day after which the link is dead (14
bits) and 64 zero bits, as one block of AES-128 under a key derived from the key ring's. Whoever has
no key sees 16 random-looking bytes; a block that was made up or altered comes out with 64 zero bits
once in 2^64 tries, so the zeros are the signature (encode-then-encipher: Bellare and Rogaway,
ASIACRYPT 2000). A block enciphers one message only, so the mode that is unsafe for longer ones is
the right one. To whoever has the person key the token tells no more than the person's hash does:
the numbers of a country can be tried out.

One number has one token a day, which only says that two links went to the same telephone. The last
character is always A, Q, g or w: telephones leave a trailing - or _ out of a link.
"""

import base64
import binascii

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from services.runtime.privacy import Keyring

_KEY = "opt-out-link"
_DAY_MS = 24 * 3600 * 1000
_FIRST_DAY = 18_262
"""2020-01-01, in days of Unix time: 14 bits reach until 2064-11-08."""
_NUMBER_BITS, _DAY_BITS, _ZERO_BITS = 50, 14, 64
_MOST_DIGITS = 15
"""Of an E.164 number, without the plus: below 2^50."""


class BadToken(ValueError):
    """Not a token of ours, or damaged."""


class DeadToken(ValueError):
    """A token of ours whose day is over."""


class Links:
    """Makes and reads the tokens of one installation."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        # Exactly one block: see above.
        self._cipher = Cipher(
            algorithms.AES(keyring.mac(_KEY, b"")),
            modes.ECB(),  # noqa: S305
        )

    def make(self, number: str, until_ms: int) -> str:
        """The token of an E.164 number, good until the end of the UTC day of `until_ms` (Unix ms).

        Raises ValueError for what is no E.164 number, or a day before 2020 or after 2064.
        """
        digits = number.removeprefix("+")
        day = until_ms // _DAY_MS - _FIRST_DAY
        if (
            not (number.startswith("+") and digits.isascii() and digits.isdigit())
            or digits.startswith("0")
            or len(digits) > _MOST_DIGITS
        ):
            raise ValueError("a link is made for an E.164 number: a plus and up to 15 digits")
        if not 0 <= day < 2**_DAY_BITS:
            raise ValueError("a link ends between 2020 and 2064")
        block = (int(digits) << (_DAY_BITS + _ZERO_BITS)) | (day << _ZERO_BITS)
        encryptor = self._cipher.encryptor()
        sealed = encryptor.update(block.to_bytes(16, "big")) + encryptor.finalize()
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def person(self, token: str, now_ms: int) -> bytes:
        """The keyed hash (16 bytes) of the person whose token it is.

        Raises BadToken, or DeadToken when `now_ms` (Unix ms) is past its day.
        """
        block = int.from_bytes(self._open(token), "big")
        if block & (2**_ZERO_BITS - 1):
            raise BadToken("not a link of ours")
        day = (block >> _ZERO_BITS) & (2**_DAY_BITS - 1)
        if now_ms // _DAY_MS - _FIRST_DAY > day:
            raise DeadToken("the link is too old")
        return self._keyring.person(f"+{block >> (_DAY_BITS + _ZERO_BITS)}")

    def _open(self, token: str) -> bytes:
        try:
            sealed = base64.b64decode(token.encode("ascii") + b"==", b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise BadToken("not a link of ours") from None
        # The last character has four bits to spare, which decoders overlook: one token, one way.
        if len(sealed) != 16 or base64.urlsafe_b64encode(sealed).decode().rstrip("=") != token:
            raise BadToken("not a link of ours")
        decryptor = self._cipher.decryptor()
        return decryptor.update(sealed) + decryptor.finalize()
