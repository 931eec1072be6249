"""TLS between services: both sides show a certificate, from files that may change at any time.

A folder (MAWJA_TLS) has `ca.crt` (who signs; two while one replaces the other), `tls.crt` and
`tls.key`, as cert-manager writes them. They are looked at whenever a client connects, and by
clients every few seconds, so a certificate that was replaced counts from the next connection on,
and nothing that is under way is cut. Files that do not fit together, as between two writes, are
left and the last good ones hold.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from services.runtime import certificates, log
from services.runtime.errors import ConfigError

NAMES = ("ca.crt", "tls.crt", "tls.key")
_log = log.get("tls")


@dataclass(frozen=True, slots=True)
class Pems:
    """What stands in a folder's files."""

    authority: bytes
    certificate: bytes
    key: bytes


def read(folder: Path) -> Pems:
    """The files of `folder`. Raises ConfigError naming the one that is missing, that is no PEM, or
    that a key is not that of its certificate."""
    found = []
    for name in NAMES:
        try:
            found.append((folder / name).read_bytes())
        except OSError as error:
            raise ConfigError(
                f"MAWJA_TLS: {name} in {folder} cannot be read: {error.strerror}"
            ) from None
    pems = Pems(*found)
    try:
        x509.load_pem_x509_certificates(pems.authority)
    except ValueError:
        raise ConfigError(f"MAWJA_TLS: ca.crt in {folder} holds no certificate (PEM)") from None
    try:
        public = x509.load_pem_x509_certificates(pems.certificate)[0].public_key()
        private = load_pem_private_key(pems.key, None)
    except (ValueError, TypeError):
        raise ConfigError(
            f"MAWJA_TLS: tls.crt and tls.key in {folder} must be a certificate and its key without "
            "a password (PEM)"
        ) from None
    if _spki(public) != _spki(private.public_key()):
        raise ConfigError(f"MAWJA_TLS: tls.key in {folder} is not the key of tls.crt")
    return pems


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


class Files:
    """A folder's certificates as they are now. Raises ConfigError when they are not good at the
    start; later the last good ones hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pems = read(folder)
        self._why = ""
        certificates.show(
            "services",
            lambda: self.current().certificate,
            lambda: self._pems.authority,
        )

    def current(self) -> Pems:
        """What the files say now. Reads them: some 0.2 ms."""
        try:
            self._pems, self._why = read(self._folder), ""
        except ConfigError as error:
            # Between two writes that is so for a moment; said once.
            if str(error) != self._why:
                self._why = str(error)
                _log.warning("the last good certificate holds", why=self._why)
        return self._pems

    def server(self) -> grpc.ServerCredentials:
        """Of a server that asks every client for a certificate of the authority."""
        held = [self._pems]

        def changed() -> Any:
            # Called by gRPC, in a thread of its own, for each client that connects.
            now = self.current()
            if now == held[0]:
                return None
            held[0] = now
            _log.info("a new certificate")
            return _configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(held[0]), changed, require_client_authentication=True
        )


def client(pems: Pems) -> grpc.ChannelCredentials:
    """Of a client that shows a certificate, and believes servers of the authority whose certificate
    has the name that was dialled."""
    return grpc.ssl_channel_credentials(pems.authority, pems.key, pems.certificate)


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pems.key, pems.certificate)], root_certificates=pems.authority
    )
