"""Tokens: who verifies, and everything that does not."""

import base64
import hmac
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import ConfigError
from services.runtime.identity import (
    ROLES,
    Caller,
    Role,
    Unauthenticated,
    Verifier,
    authorise,
    create_token_key,
    issue,
)

NOW = 1_800_000_000_000
METHOD = "/mawja.intake.v1.IntakeService/SubmitContact"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    create_token_key(folder)
    return folder


@pytest.fixture(scope="module")
def verifier(ring: Path) -> Verifier:
    return Verifier(ring, lambda: NOW)


def signed(ring: Path, kid: str = "local", algorithm: str = "EdDSA", **changes: Any) -> str:
    claims = {"sub": "s", "aud": "mawja", "roles": ["agent"], "exp": NOW // 1000 + 60, **changes}
    key = (ring / "tokens" / "local.private.pem").read_text()
    given_claims = {k: v for k, v in claims.items() if v is not None}
    return jwt.encode(given_claims, key, algorithm=algorithm, headers={"kid": kid})


def test_a_token_says_who_calls(ring: Path, verifier: Verifier) -> None:
    both = frozenset({Role.APPROVER, Role.AUDITOR})
    token = issue(ring, "office", both, now=NOW, agency="moh", valid_s=60)
    caller = verifier.verify(f"Bearer {token}")
    assert caller == Caller("office", both, "moh", NOW + 60_000)
    assert verifier.verify(f"Bearer {token}") is caller


@pytest.mark.parametrize("other", sorted(set(Role) - {Role.LIAISON}))
def test_a_liaison_is_nothing_else(ring: Path, verifier: Verifier, other: Role) -> None:
    given = frozenset({Role.LIAISON, other})
    token = issue(ring, "office", given, now=NOW, agency="moh", valid_s=60)
    assert verifier.verify(f"Bearer {token}").roles == {Role.LIAISON}


def test_expiry_is_told_by_the_clock_also_of_a_known_token(ring: Path) -> None:
    now = NOW
    verifier = Verifier(ring, lambda: now)
    token = "Bearer " + issue(ring, "s", frozenset({Role.AGENT}), now=NOW, valid_s=60)
    verifier.verify(token)
    now = NOW + 59_999
    verifier.verify(token)
    now = NOW + 60_000
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"sub": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": NOW // 1000},
        {"roles": ["owner"]},
        {"roles": "agent"},
        {"roles": 7},
        {"roles": [["agent"]]},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_a_wrong_claim_does_not_verify(
    ring: Path, verifier: Verifier, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        verifier.verify("Bearer " + signed(ring, **changes))


def test_no_role_may_call_nothing(ring: Path, verifier: Verifier) -> None:
    caller = verifier.verify("Bearer " + signed(ring, roles=[]))
    assert not any(authorise(method, caller) for method in ROLES)


def test_another_key_of_the_same_name_does_not_verify(verifier: Verifier, tmp_path: Path) -> None:
    create_token_key(tmp_path)
    with pytest.raises(Unauthenticated):
        verifier.verify("Bearer " + issue(tmp_path, "s", frozenset({Role.AGENT}), now=NOW))


def test_an_unknown_key_and_another_algorithm_do_not_verify(ring: Path, verifier: Verifier) -> None:
    none = jwt.encode(
        {"sub": "s", "aud": "mawja", "exp": NOW}, "", algorithm="none", headers={"kid": "local"}
    )
    # The public key, which anyone may have, used as an HMAC secret.
    public = (ring / "tokens" / "local.public.pem").read_bytes()
    _, body, _ = signed(ring).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"local"}').rstrip(b"=").decode()
    mac = hmac.digest(public, f"{header}.{body}".encode(), "sha256")
    confused = f"{header}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    unsigned = signed(ring).rpartition(".")[0]
    for token in (signed(ring, kid="other"), none, confused, unsigned, unsigned + "."):
        with pytest.raises(Unauthenticated):
            verifier.verify(f"Bearer {token}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dTpw", "bearer x", "x"])
def test_no_token_is_told_how_to_get_one(verifier: Verifier, header: str | None) -> None:
    with pytest.raises(Unauthenticated, match="mawja token"):
        verifier.verify(header)


@given(st.text(), st.sampled_from(["", "Bearer "]))
def test_garbage_is_refused(verifier: Verifier, garbage: str, scheme: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier.verify(scheme + garbage)


@given(st.data())
def test_a_token_with_one_letter_changed_is_refused(
    ring: Path, verifier: Verifier, data: st.DataObject
) -> None:
    token = signed(ring)
    # The last letter of base64 carries bits that are not part of the signature.
    place = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(Unauthenticated):
            verifier.verify("Bearer " + changed)


def test_a_liaison_sees_their_own_agency_and_without_one_none() -> None:
    def sees(agency: str, asked: str, *roles: Role) -> bool:
        return Caller("s", frozenset(roles), agency, 0).sees(asked)

    assert sees("moh", "moh", Role.LIAISON)
    assert not sees("moh", "moi", Role.LIAISON)
    assert not sees("moh", "", Role.LIAISON)
    assert not sees("", "moh", Role.LIAISON)
    assert not sees("", "", Role.LIAISON)
    assert not sees("", "moh", Role.LIAISON, Role.AGENT)
    assert sees("", "moh", Role.AGENT)
    assert sees("", "", Role.COORDINATOR)
    assert not sees("moh", "moi", Role.AGENT)


def test_a_load_tester_must_drill() -> None:
    assert Caller("s", frozenset({Role.LOAD_TESTER, Role.GATEWAY}), "", 0).must_drill
    assert not Caller("s", frozenset({Role.GATEWAY}), "", 0).must_drill


def test_a_method_outside_the_table_can_be_called_by_nobody() -> None:
    everyone = Caller("s", frozenset(Role), "", 0)
    assert authorise(METHOD, everyone)
    assert not authorise(METHOD + "x", everyone)
    assert not authorise("", everyone)


def test_a_ring_without_keys_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mawja keys"):
        Verifier(tmp_path)
    with pytest.raises(ConfigError, match="tokens are not issued here"):
        issue(tmp_path, "s", frozenset(), now=NOW)


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "tokens" / "odd.public.pem").write_bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with pytest.raises(ConfigError, match=r"odd\.public\.pem"):
        Verifier(tmp_path)


def test_keys_are_made_once_and_the_private_one_is_private(ring: Path) -> None:
    path = ring / "tokens" / "local.private.pem"
    before = path.read_bytes()
    create_token_key(ring)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o077 == 0
