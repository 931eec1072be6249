"""Signed alerts of CAP 1.2 for tests: two certificates, and signatures by a hand of our own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from tests.cap_alerts import fixture

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SENT = datetime(2026, 4, 17, 1, 30, tzinfo=UTC)
FLOOD = fixture("uae-flood")


def certificate(
    key: Key, begin: timedelta = timedelta(days=-30), end: timedelta = timedelta(days=30)
) -> x509.Certificate:
    """A self-signed one, valid around the time at which the fixture was sent."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alerts.example.ae")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(SENT + begin)
        .not_valid_after(SENT + end)
        .sign(key, SHA256())
    )


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
TRUSTED = certificate(KEY)
OTHER = certificate(OTHER_KEY)


def signed(
    data: bytes = FLOOD,
    key: Key = KEY,
    cert: x509.Certificate = TRUSTED,
    c14n: CanonicalizationMethod = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
) -> bytes:
    algorithm = "ecdsa-sha256" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa-sha256"
    signer = XMLSigner(signature_algorithm=algorithm, c14n_algorithm=c14n)
    root = signer.sign(etree.fromstring(data), key=key, cert=[cert])
    return etree.tostring(root, encoding="UTF-8")


def pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(Encoding.PEM)


def keep(folder: Path, key: Key, cert: x509.Certificate) -> Path:
    """The folder, with both as Kubernetes keeps them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tls.crt").write_bytes(pem(cert))
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tls.key").write_bytes(octets)
    return folder
