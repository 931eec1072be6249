"""TLS of a carrier's connection, made once from the files that the carriers file names."""

import ssl
from pathlib import Path

from services.broadcast.carriers.specs import TlsSpec
from services.runtime.errors import ConfigError


def context(name: str, tls: TlsSpec, folder: Path) -> ssl.SSLContext:
    """The context for connections of the carrier called `name`: TLS 1.2 at least, the carrier's
    certificate and name always checked. Files are looked for in `folder`. Raises ConfigError.
    """
    try:
        made = ssl.create_default_context(cafile=str(folder / tls.ca_file) if tls.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise _unreadable(name, "tls.ca_file", folder / tls.ca_file, error) from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate_file:
        certificate = folder / tls.certificate_file
        try:
            # A callback instead of a question at a terminal that nobody sits at.
            made.load_cert_chain(certificate, folder / tls.key_file, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unreadable(name, "tls.certificate_file", certificate, error) from None
    return made


def _no_password() -> str:
    raise ValueError("the key is protected by a password; give one that is not")


def _unreadable(name: str, field: str, path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"carrier {name}: {field}: {path} cannot be used: {error}")
