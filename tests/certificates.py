"""A certificate authority of the tests, and a server that speaks TLS before another."""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs certificates that hold for `hours`; `file` is its own."""

    def __init__(self, folder: Path, name: str, hours: int = 1) -> None:
        self._folder, self._name, self._hours = folder, name, hours
        self._key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(name, self._key, [], is_authority=True)
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    @property
    def file(self) -> Path:
        return self._folder / f"{self._name}.pem"

    def issue(self, name: str, *alternatives: x509.GeneralName) -> tuple[Path, Path]:
        """The files of a certificate for `alternatives`, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(name, key, list(alternatives))
        certificate_file = self._folder / f"{name}.pem"
        key_file = self._folder / f"{name}.key"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        alternatives: list[x509.GeneralName],
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=self._hours))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        return builder.sign(self._key, hashes.SHA256())


HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def context(certificate: tuple[Path, Path], clients: Path | None = None) -> ssl.SSLContext:
    """A server's context; with `clients` it asks for a certificate of that authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    if clients is not None:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(clients)
    return made


@contextlib.asynccontextmanager
async def before(port: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A port that speaks TLS and hands what it hears to `port`."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        behind, towards = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, towards), carry(behind, writer))
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def put(folder: Path, authority: Authority, name: str, *also: Authority) -> None:
    """Puts a new certificate for loopback into a folder for MAWJA_TLS, each file at once. Whoever
    signs in `also` counts too."""
    certificate, key = authority.issue(name, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    contents = {
        "ca.crt": b"".join(one.file.read_bytes() for one in (authority, *also)),
        "tls.key": key.read_bytes(),
        "tls.crt": certificate.read_bytes(),
    }
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / "new").write_bytes(content)
        os.replace(folder / "new", folder / name)
