"""Signed alerts of CAP 1.2: only the whole alert counts, and only a trusted certificate."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.verifier import XMLVerifier

from services.broadcast.cap.model import CapError, Signature
from services.broadcast.cap.reading import parse
from services.broadcast.cap.signing import SIGNATURE
from tests.cap_alerts import DOCUMENT
from tests.cap_signatures import FLOOD, KEY, OTHER, OTHER_KEY, TRUSTED, certificate, signed

SIGNED = signed()


def refusal(data: bytes, trusted: list[x509.Certificate], demanded: bool = True) -> str:
    with pytest.raises(CapError) as caught:
        parse(data, trusted, demanded)
    (problem,) = caught.value.problems
    assert problem.path == "alert/Signature"
    return problem.rule


def test_a_trusted_signature_is_verified() -> None:
    alert = parse(SIGNED, [OTHER, TRUSTED], signed=True)
    assert alert == parse(FLOOD)
    assert alert.signature is Signature.VERIFIED
    assert alert.signed_by == TRUSTED.fingerprint(SHA256()).hex()


@pytest.mark.parametrize("c14n", list(CanonicalizationMethod))
def test_rsa_and_every_canonicalization(c14n: CanonicalizationMethod) -> None:
    key = rsa.generate_private_key(65537, 2048)
    cert = certificate(key)
    assert parse(signed(FLOOD, key, cert, c14n), [cert], True).signature is Signature.VERIFIED


def test_without_certificates_a_signature_is_left_unchecked() -> None:
    alert = parse(SIGNED)
    assert alert.signature is Signature.UNCHECKED
    assert alert.signed_by == ""
    assert parse(FLOOD).signature is Signature.NONE
    assert parse(FLOOD, [TRUSTED]).signature is Signature.NONE


def test_what_is_demanded_must_be_there() -> None:
    assert "is missing" in refusal(FLOOD, [TRUSTED])
    assert "no certificate is trusted" in refusal(SIGNED, [])


@pytest.mark.parametrize("demanded", [True, False])
def test_any_other_key_is_refused_whatever_certificate_stands_inside(demanded: bool) -> None:
    assert "none of the trusted" in refusal(SIGNED, [OTHER], demanded)
    # The trusted certificate stands inside, and another key signed.
    posing = signed(FLOOD, OTHER_KEY, OTHER)
    plain = posing.replace(b"\n", b"")
    swapped = plain.replace(_body(OTHER), _body(TRUSTED))
    assert swapped != plain
    assert "none of the trusted" in refusal(swapped, [TRUSTED], demanded)


def test_a_change_after_signing_is_seen() -> None:
    changed = SIGNED.replace("سيول".encode(), "سيوف".encode())
    assert "changed after it was signed" in refusal(changed, [TRUSTED])
    added = SIGNED.replace(b"<cap:info>", b"<cap:note>x</cap:note><cap:info>", 1)
    with pytest.raises(CapError):
        parse(added, [TRUSTED], signed=True)


def test_a_comment_that_no_signature_covers_changes_nothing() -> None:
    commented = SIGNED.replace("سيول".encode(), "سي<!-- x -->ول".encode(), 1)
    assert commented != SIGNED
    assert parse(commented, [TRUSTED], signed=True) == parse(FLOOD)


@pytest.mark.parametrize(
    ("begin", "end"),
    [(timedelta(days=-9), timedelta(days=-1)), (timedelta(days=1), timedelta(days=9))],
)
def test_a_certificate_counts_while_it_is_valid(begin: timedelta, end: timedelta) -> None:
    cert = certificate(KEY, begin, end)
    assert "valid when the alert was sent" in refusal(SIGNED, [cert])
    assert parse(SIGNED, [cert, TRUSTED], signed=True).signature is Signature.VERIFIED


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'URI=""', b'URI="#a"', "whole alert"),
        (b'Reference URI=""', b"Reference", "whole alert"),
        (b"xmldsig#enveloped-signature", b"xmldsig#base64", "whole alert"),
        (b"2001/10/xml-exc-c14n#", b"TR/1999/REC-xslt-19991116", "canonicalization only"),
        (b"2001/04/xmldsig-more#ecdsa-sha256", b"2000/09/xmldsig#hmac-sha1", "SHA-256"),
        (b"2001/04/xmldsig-more#ecdsa-sha256", b"2001/04/xmldsig-more#hmac-sha256", "SHA-256"),
        (b"2001/04/xmldsig-more#ecdsa-sha256", b"2000/09/xmldsig#rsa-sha1", "SHA-256"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA", "none of the trusted"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>AAAA", "none of the trusted"),
        (b"ds:SignedInfo", b"ds:Signedinfo", "whole alert"),
    ],
)
def test_signatures_that_prove_nothing(old: bytes, new: bytes, rule: str) -> None:
    # Where a method stands twice, the last one is that of the reference.
    assert old in SIGNED
    forged = SIGNED.replace(old, new) if old == b"ds:SignedInfo" else _last(SIGNED, old, new)
    assert rule in refusal(forged, [TRUSTED])


@pytest.mark.parametrize("element", ["SignatureValue", "DigestValue"])
def test_an_empty_signature_is_none(element: str) -> None:
    begin = SIGNED.index(f"<ds:{element}>".encode()) + len(element) + 5
    emptied = SIGNED[:begin] + SIGNED[SIGNED.index(f"</ds:{element}>".encode()) :]
    assert f"must have a {element}" in refusal(emptied, [TRUSTED])
    noted = SIGNED[:begin] + b"<!-- x -->" + SIGNED[begin:]
    assert f"must have a {element}" in refusal(noted, [TRUSTED])


@pytest.mark.parametrize("value", ["é", "A", "===="])
def test_what_is_no_base64_proves_nothing(value: str) -> None:
    begin = SIGNED.index(b"<ds:SignatureValue>") + len("<ds:SignatureValue>")
    odd = SIGNED[:begin] + value.encode() + SIGNED[begin:]
    assert "none of the trusted" in refusal(odd, [TRUSTED])


@pytest.mark.parametrize("fault", [RuntimeError, TypeError, KeyError, AttributeError])
def test_a_fault_of_our_own_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise fault("ours")

    monkeypatch.setattr(XMLVerifier, "verify", broken)
    with pytest.raises(fault, match="ours"):
        parse(SIGNED, [TRUSTED], signed=True)


def test_a_signature_stands_once_and_last() -> None:
    root = etree.fromstring(SIGNED)
    signature = root.find(SIGNATURE)
    assert signature is not None
    twice = SIGNED.replace(b"</cap:alert>", etree.tostring(signature) + b"</cap:alert>")
    assert "only once" in refusal(twice, [TRUSTED])
    root.insert(3, signature)
    with pytest.raises(CapError, match="too late"):
        parse(etree.tostring(root), [TRUSTED], signed=True)
    root[5].append(signature)
    with pytest.raises(CapError, match="must be the last element"):
        parse(etree.tostring(root), [TRUSTED], signed=True)


def test_a_signed_alert_inside_another_is_no_alert() -> None:
    inner = SIGNED[SIGNED.index(b"<cap:alert") :]
    outer = DOCUMENT.encode().replace(b"</alert>", inner + b"</alert>")
    with pytest.raises(CapError, match="not an element"):
        parse(outer, [TRUSTED], signed=True)


def _last(data: bytes, old: bytes, new: bytes) -> bytes:
    head, _, tail = data.rpartition(old)
    return head + new + tail


def _body(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(Encoding.PEM).replace(b"\n", b"").split(b"-----")[2]
