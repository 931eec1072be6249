"""How a process is known to Kafka: not at all, by its folder, or with a sentence that helps."""

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.runtime import kafka_tls
from services.runtime.errors import ConfigError


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    kafka_tls.context.cache_clear()
    yield
    kafka_tls.context.cache_clear()


def certificates(folder: Path) -> None:
    """A folder as Strimzi's Secrets are mounted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka-intake")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    (folder / "ca.crt").write_bytes(made)
    (folder / "user.crt").write_bytes(made)
    (folder / "user.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_without_a_folder_there_is_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAWJA_KAFKA_TLS", raising=False)
    assert kafka_tls.options() == {}


def test_a_folder_gives_both_clients_their_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificates(tmp_path)
    monkeypatch.setenv("MAWJA_KAFKA_TLS", str(tmp_path))
    options = kafka_tls.options()
    assert options["security_protocol"] == "SSL"
    made = options["ssl_context"]
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    # A site's own authority counts and no other.
    assert len(made.get_ca_certs()) <= 1


@pytest.mark.parametrize("missing", ["ca.crt", "user.crt", "user.key"])
def test_what_is_missing_is_said_without_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    certificates(tmp_path)
    (tmp_path / missing).unlink()
    monkeypatch.setenv("MAWJA_KAFKA_TLS", str(tmp_path))
    with pytest.raises(ConfigError, match=r"must hold ca\.crt, user\.crt and user\.key"):
        kafka_tls.options()
