"""Opt-out links: the token alone finds the person, and nobody can make one up."""

import base64
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.rules.links import BadToken, DeadToken, Links
from services.runtime import privacy
from services.runtime.privacy import Keyring
from tests.sending_rules import DAY_MS, at

NOW = at("2026-11-22 09:00")
NUMBER = "+971501234567"


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    folder: Path = tmp_path_factory.mktemp("keys")
    privacy.create(folder, NOW)
    return Keyring(folder)


@pytest.mark.parametrize(
    "number", ["+1", "+971501234567", "+999512345678", "+999999999999999", "+100000000000000"]
)
def test_a_token_leads_to_the_person(keyring: Keyring, number: str) -> None:
    links = Links(keyring)
    token = links.make(number, NOW + 90 * DAY_MS)
    assert len(token) == 22
    assert links.person(token, NOW) == keyring.person(number)


def test_it_works_to_the_end_of_its_day(keyring: Keyring) -> None:
    links = Links(keyring)
    token = links.make(NUMBER, at("2026-12-01 00:00"))
    assert links.person(token, at("2026-12-01 23:59")) == keyring.person(NUMBER)
    with pytest.raises(DeadToken):
        links.person(token, at("2026-12-02 00:00"))


def test_a_telephone_takes_the_whole_token_into_the_link(keyring: Keyring) -> None:
    links = Links(keyring)
    for index in range(200):
        token = links.make(f"+97150{index:07d}", NOW)
        assert token[-1] in "AQgw"
        assert all(char.isascii() and (char.isalnum() or char in "-_") for char in token)


def test_it_shows_nothing_of_the_number(keyring: Keyring) -> None:
    links = Links(keyring)
    tokens = [links.make(f"+97150123456{digit}", NOW) for digit in range(10)]
    blocks = [base64.urlsafe_b64decode(token + "==") for token in tokens]
    # Numbers that differ in one digit share no more bytes than chance gives.
    alike = sum(
        left == right
        for index, one in enumerate(blocks)
        for two in blocks[:index]
        for left, right in zip(one, two, strict=True)
    )
    assert alike < 15
    assert links.make(NUMBER, NOW) != links.make(NUMBER, NOW + DAY_MS)


@given(st.integers(0, 127))
def test_no_bit_may_be_altered(bit: int) -> None:
    links = SHARED
    token = links.make(NUMBER, NOW)
    block = int.from_bytes(base64.urlsafe_b64decode(token + "=="), "big") ^ (1 << bit)
    altered = base64.urlsafe_b64encode(block.to_bytes(16, "big")).decode().rstrip("=")
    with pytest.raises(BadToken):
        links.person(altered, NOW)


@given(st.text(max_size=30) | st.text("abcXYZ019-_=+/", min_size=20, max_size=24))
def test_what_is_made_up_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        SHARED.person(token, NOW)


def test_one_token_is_written_in_one_way(keyring: Keyring) -> None:
    links = Links(keyring)
    token = links.make(NUMBER, NOW)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = alphabet[alphabet.index(token[-1]) + 1]
    for other in (token[:-1] + spare, token + "=", token + "==", f" {token}", token + "\n"):
        with pytest.raises(BadToken):
            links.person(other, NOW)


def test_another_key_ring_does_not_know_it(keyring: Keyring, tmp_path: Path) -> None:
    privacy.create(tmp_path, NOW)
    with pytest.raises(BadToken):
        Links(Keyring(tmp_path)).person(Links(keyring).make(NUMBER, NOW), NOW)


@pytest.mark.parametrize(
    "number", ["971501234567", "+0971501234567", "+", "+97150123456x", "+9999999999999999", "+٩٧١"]
)
def test_only_numbers_get_one(keyring: Keyring, number: str) -> None:
    with pytest.raises(ValueError, match=r"E\.164"):
        Links(keyring).make(number, NOW)


def test_a_day_that_does_not_fit_is_refused(keyring: Keyring) -> None:
    with pytest.raises(ValueError, match="2064"):
        Links(keyring).make(NUMBER, at("2065-01-01 00:00"))


def _shared() -> Links:
    class Fixed(Keyring):
        """A key ring without a folder: Hypothesis makes no fixtures."""

        def __init__(self) -> None:
            self._person = random.Random(5).randbytes(32)

    return Links(Fixed())


SHARED = _shared()
