"""The files by which alerts are trusted and signed, read once when the service begins.

Trusted certificates are a folder of PEM files; the service's own is a folder with `tls.crt` and
`tls.key`, as Kubernetes keeps them.
"""

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.broadcast.cap.sealing import Seal
from services.runtime.errors import ConfigError

_ENDINGS = (".pem", ".crt", ".cer")
_CERTIFICATE, _KEY = "tls.crt", "tls.key"


def trusted(folder: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a folder, in the order of their files' names. Raises ConfigError naming
    the file when there is none, or one that can't sign an alert."""
    files = _contents(folder, "MAWJA_CAP_TRUSTED")
    found = [one for path in files for one in _certificates(path)]
    if not found:
        raise ConfigError(
            f"MAWJA_CAP_TRUSTED: {folder} holds no certificate (*.pem, *.crt or *.cer)"
        )
    return tuple(found)


def seal(folder: Path) -> Seal:
    """The certificate and key with which alerts are signed. Raises ConfigError naming the file."""
    certificate = _certificates(folder / _CERTIFICATE)[0]
    path = folder / _KEY
    try:
        key = load_pem_private_key(_bytes(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} must be a private key in PEM, without a password") from None
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey):
        raise ConfigError(f"{path} must be an RSA or ECDSA key")
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"{path} is not the key of {_CERTIFICATE} beside it")
    return Seal(certificate, key)


def _contents(folder: Path, setting: str) -> Iterable[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise ConfigError(f"{setting}: {folder} cannot be read: {error.strerror}") from None


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(_bytes(path))
        usable = all(
            isinstance(one.public_key(), EllipticCurvePublicKey | RSAPublicKey) for one in found
        )
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} must hold a certificate in PEM") from None
    if not usable:
        raise ConfigError(f"{path} must be the certificate of an RSA or ECDSA key")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
