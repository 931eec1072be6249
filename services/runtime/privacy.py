"""Numbers and texts: hashed to find, sealed to keep, never shown by accident.

A key ring is a folder:

    person.key        32 bytes, hex: HMAC key of person hashes; never changes on a live system
    months/2026-11.key  32 bytes, hex: AES-256-GCM key of everything sealed in that month;
                        destroying it erases the month

A sealed value is: what it shows of itself (`sealed`: the month, and whose it is), 12 bytes nonce,
ciphertext and tag. The nonce is random (NIST SP 800-38D 8.2.2); the associated data is the field's
name, so that a sealed number cannot be passed off as a text, and of what is about a person what it
shows, so that it cannot be passed off as another's. Every copy of it, wherever it is kept, is gone
once the person was erased later than it was sealed.
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.runtime import sealed
from services.runtime.clock import monotonic_s
from services.runtime.erased import ErasedPersons
from services.runtime.errors import ConfigError, Poison

_KEPT_S = 60.0
"""How long a month's key is used before its file is looked at again: it may be destroyed."""
_NONCE = 12
_TAG = 16
PERSON_BYTES = sealed.PERSON_BYTES


class Erased(Poison):
    """The key of the value's month was destroyed, or the person it is about was erased: the value
    is gone, as intended."""


class _Missing(ConfigError):
    """There is no file of that key."""


class Keyring:
    """Keys of one installation, read from a folder. Not thread-safe; cheap to make.

    `erased` is empty until somebody reads the list into it (`erasures`): services do before they
    begin, commands before they open anything.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._person = _read_key(folder / "person.key")
        self._months: dict[int, tuple[AESGCM, float]] = {}
        self.erased = ErasedPersons()

    def person(self, e164: str) -> bytes:
        """The keyed hash (16 bytes) of an E.164 number: HMAC-SHA-256, truncated."""
        return hmac.digest(self._person, b"person\x1f" + e164.encode(), "sha256")[:PERSON_BYTES]

    def handle(self, handle: str) -> bytes:
        """The keyed hash (16 bytes) of a social or e-mail handle, case-folded."""
        return hmac.digest(self._person, b"handle\x1f" + handle.casefold().encode(), "sha256")[
            :PERSON_BYTES
        ]

    def mac(self, domain: str, data: bytes) -> bytes:
        """A keyed hash (16 bytes) of `data` for one use, named by `domain`."""
        return hmac.digest(self._person, domain.encode() + b"\x1f" + data, "sha256")[:PERSON_BYTES]

    def word_hash(self, word: str) -> int:
        """A keyed 32-bit hash of a word, from which the word cannot be looked up."""
        digest = hashlib.blake2b(word.encode(), digest_size=4, key=self._person).digest()
        return int.from_bytes(digest, "big")

    def seal(self, field: str, text: str, at_ms: int, person: bytes = b"") -> bytes:
        """`text` sealed with the key of the month of `at_ms` (Unix ms: now). Empty text: empty
        bytes. `person`: the keyed hash of whom it is about, with whom it is erased; empty when that
        is nobody whose number we know.

        Raises ConfigError when there is no key for that month.
        """
        if not text:
            return b""
        month = _month_of(at_ms)
        head = sealed.header(month, at_ms, person)
        nonce = os.urandom(_NONCE)
        return head + nonce + self._month(month).encrypt(nonce, text.encode(), _bound(head, field))

    def unseal(self, field: str, value: bytes) -> str:
        """The text of a sealed value of `field`.

        Raises Erased when the person was erased, or the month's key was destroyed (at most a minute
        ago, it may still be used); Poison when it is damaged, ConfigError when the key is there and
        cannot be read.
        """
        if not value:
            return ""
        head = sealed.header_of(value)
        if not head or len(value) < len(head) + _NONCE + _TAG:
            raise Poison(f"{field}: not a sealed value")
        if self.erased.gone(value):
            raise Erased(f"{field}: the person was erased")
        try:
            key = self._month(sealed.month_of(head))
        except _Missing as error:
            raise Erased(f"{field}: the key of its month is gone") from error
        nonce, body = value[len(head) : len(head) + _NONCE], value[len(head) + _NONCE :]
        try:
            return key.decrypt(nonce, body, _bound(head, field)).decode()
        except (InvalidTag, UnicodeDecodeError) as error:
            raise Poison(f"{field}: the sealed value is damaged") from error

    def _month(self, month: int) -> AESGCM:
        now = monotonic_s()
        key, read_at = self._months.get(month, (None, 0.0))
        if key is None or now - read_at > _KEPT_S:
            self._months.pop(month, None)
            key = AESGCM(_read_key(self._folder / "months" / f"{_month_name(month)}.key"))
            self._months[month] = (key, now)
        return key


def mask(e164: str) -> str:
    """A number with all but the country code's start and the last two digits hidden."""
    return f"{e164[:4]}{'•' * max(0, len(e164) - 6)}{e164[-2:]}" if e164 else ""


def create(folder: Path, at_ms: int) -> None:
    """Makes a key ring, or adds to one the keys of the month of `at_ms` and the one after.

    Existing keys are never touched.
    """
    (folder / "months").mkdir(parents=True, exist_ok=True, mode=0o700)
    month = _month_of(at_ms)
    for path in (
        folder / "person.key",
        folder / "months" / f"{_month_name(month)}.key",
        folder / "months" / f"{_month_name(month + 1)}.key",
    ):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(32).hex() + "\n")


def _bound(head: bytes, field: str) -> bytes:
    """The associated data of a value."""
    return (head if sealed.about(head) else b"") + field.encode()


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise _Missing(f"key {path.name} is missing in {path.parent}; see `mawja keys`") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"key {path.name} in {path.parent} cannot be read: 64 hex digits"
        ) from error
    if len(key) != 32:
        raise ConfigError(f"key {path.name} in {path.parent} must be 32 bytes (64 hex digits)")
    return key


def _month_of(at_ms: int) -> int:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return (moment.year - 2000) * 12 + moment.month - 1


def _month_name(month: int) -> str:
    return f"{2000 + month // 12:04d}-{month % 12 + 1:02d}"
