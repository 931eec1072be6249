"""What is exported signed is verified by whoever trusts the certificate, and wrong keys stop it."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from lxml import etree

from services.broadcast.cap import files, schema
from services.broadcast.cap.model import CapError, Signature
from services.broadcast.cap.reading import parse
from services.broadcast.cap.sealing import Seal
from services.broadcast.cap.writing import write
from services.runtime.errors import ConfigError
from tests.cap_signatures import FLOOD, KEY, OTHER, OTHER_KEY, TRUSTED, Key, certificate, keep, pem

WRITTEN = write(parse(FLOOD))


@pytest.mark.parametrize(
    "key",
    [KEY, ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["p256", "p384", "rsa"],
)
def test_what_is_signed_is_verified_and_fits_the_schema(key: Key) -> None:
    cert = certificate(key)
    signed = Seal(cert, key).signed(WRITTEN)
    alert = parse(signed, [OTHER, cert], signed=True)
    assert alert == parse(FLOOD)
    assert alert.signature is Signature.VERIFIED
    assert not list(schema.broken(etree.fromstring(signed)))
    with pytest.raises(CapError, match="none of the trusted"):
        parse(signed, [OTHER], signed=True)
    with pytest.raises(CapError, match="changed after"):
        parse(signed.replace("سيول".encode(), "سيوف".encode()), [cert], signed=True)


def test_a_certificate_that_was_not_valid_when_it_was_sent_signs_nothing() -> None:
    late = certificate(KEY, timedelta(days=1), timedelta(days=9))
    with pytest.raises(CapError, match="valid when the alert was sent"):
        Seal(late, KEY).signed(WRITTEN)


def test_a_folder_of_key_and_certificate_is_read(tmp_path: Path) -> None:
    seal = files.seal(keep(tmp_path, KEY, TRUSTED))
    assert parse(seal.signed(WRITTEN), [TRUSTED], signed=True) == parse(FLOOD)


def test_a_folder_of_certificates_is_read(tmp_path: Path) -> None:
    (tmp_path / "b.pem").write_bytes(pem(TRUSTED) + pem(OTHER))
    (tmp_path / "a.crt").write_bytes(pem(OTHER))
    (tmp_path / "notes.txt").write_text("not ours")
    assert files.trusted(tmp_path) == (OTHER, TRUSTED, OTHER)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"MAWJA_CAP_TRUSTED.*cannot be read"):
        files.trusted(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no certificate"):
        files.trusted(tmp_path)
    (tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"a\.pem must hold a certificate"):
        files.trusted(tmp_path)


def test_a_key_that_does_not_fit_is_named(tmp_path: Path) -> None:
    folder = keep(tmp_path, OTHER_KEY, TRUSTED)
    with pytest.raises(ConfigError, match="not the key of"):
        files.seal(folder)
    locked = PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    (folder / "tls.key").write_bytes(KEY.private_bytes(Encoding.PEM, *locked))
    with pytest.raises(ConfigError, match=r"tls\.key must be a private key.*without a password"):
        files.seal(folder)
    odd = ed25519.Ed25519PrivateKey.generate()
    plain = PrivateFormat.PKCS8, NoEncryption()
    (folder / "tls.key").write_bytes(odd.private_bytes(Encoding.PEM, *plain))
    with pytest.raises(ConfigError, match=r"tls\.key must be an RSA or ECDSA key"):
        files.seal(folder)
    (folder / "tls.key").unlink()
    with pytest.raises(ConfigError, match=r"tls\.key cannot be read"):
        files.seal(folder)
