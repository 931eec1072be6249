"""Makes the carriers of the file: one set of binds for each process."""

from pathlib import Path

from services.broadcast.carriers.account import SmppConfig
from services.broadcast.carriers.smpp import SmppCarrier
from services.broadcast.pace import Bucket
from services.broadcast.routes import CarrierSpec, Routes, parse
from services.broadcast.sender import Out
from services.runtime.clock import monotonic_s
from services.runtime.errors import ConfigError


def load(path: Path | None) -> Routes:
    """The file of carriers and routes. Raises ConfigError."""
    if path is None:
        raise ConfigError(
            "MAWJA_CARRIERS is not set: broadcast needs the file of carriers and routes; "
            "see services/broadcast/routes.py for its form"
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"MAWJA_CARRIERS: {path} cannot be read: {error}") from None
    return parse(text, path.name)


def make(routes: Routes, folder: Path) -> dict[str, Out]:
    """The carriers of `routes`, not started, by name. Passwords stand beside the file, in `folder`.

    Raises ConfigError.
    """
    return {
        spec.name: Out(_carrier(spec, folder), spec, Bucket(spec.parts_per_second, monotonic_s()))
        for spec in routes.carriers.values()
    }


def _carrier(spec: CarrierSpec, folder: Path) -> SmppCarrier:
    path = folder / spec.password_file
    try:
        password = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"carrier {spec.name}: its password cannot be read from {path} (password_file)"
        ) from None
    try:
        config = SmppConfig(
            name=spec.name,
            declared=spec.declared,
            host=spec.host,
            port=spec.port,
            system_id=spec.system_id,
            password=password,
            system_type=spec.system_type,
            binds=spec.binds,
            window=spec.window,
            response_timeout_s=spec.response_timeout_s,
            enquire_link_s=spec.enquire_link_s,
            dialect=spec.dialect,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return SmppCarrier(config)
