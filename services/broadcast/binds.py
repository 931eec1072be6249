"""Makes the carriers of the file: one set of binds for each process."""

from pathlib import Path

from services.broadcast.carriers import tls
from services.broadcast.carriers.account import SmppConfig
from services.broadcast.carriers.base import Carrier
from services.broadcast.carriers.filedrop import FileCarrier
from services.broadcast.carriers.http import HttpCarrier
from services.broadcast.carriers.smpp import SmppCarrier
from services.broadcast.carriers.specs import (
    FilesAccount,
    HttpAccount,
    SmppAccount,
    WhatsappAccount,
)
from services.broadcast.carriers.web import WebConfig
from services.broadcast.carriers.whatsapp import WhatsappCarrier, WhatsappNumber
from services.broadcast.carriers.whole import Messenger
from services.broadcast.pace import Bucket
from services.broadcast.routes import CarrierSpec, Routes, parse
from services.broadcast.sender import Out
from services.runtime import webhooks
from services.runtime.clock import monotonic_s, now_ms
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
    """The carriers of `routes`, not started, by name. Their secrets stand beside the file, in
    `folder`. Raises ConfigError.
    """
    return {
        spec.name: Out(_carrier(spec, folder), spec, Bucket(spec.parts_per_second, monotonic_s()))
        for spec in routes.carriers.values()
    }


def _carrier(spec: CarrierSpec, folder: Path) -> Carrier | Messenger:
    match spec.account:
        case SmppAccount():
            return SmppCarrier(_smpp(spec, spec.account, folder))
        case HttpAccount() as account:
            authorization = _secret(spec, "authorization_file", folder / account.authorization_file)
            secret = _secret(spec, "secret_file", folder / account.secret_file)
            try:
                key = webhooks.secret_of(secret)
            except ValueError as error:
                raise ConfigError(f"carrier {spec.name}: secret_file: {error}") from None
            return HttpCarrier(_web(spec, account.url, authorization, account, folder), key, now_ms)
        case WhatsappAccount() as account:
            token = _secret(spec, "token_file", folder / account.token_file)
            number = WhatsappNumber(
                phone_number_id=account.phone_number_id,
                app_secret=_secret(spec, "app_secret_file", folder / account.app_secret_file),
                verify_token=_secret(spec, "verify_token_file", folder / account.verify_token_file),
                template=account.template,
                languages=account.template_languages,
            )
            url = f"{account.url}/{account.phone_number_id}/messages"
            return WhatsappCarrier(_web(spec, url, f"Bearer {token}", account, folder), number)
        case FilesAccount() as account:
            outbox, inbox = folder / account.outbox, folder / account.inbox
            for field, path in (("outbox", outbox), ("inbox", inbox)):
                if not path.is_dir():
                    raise ConfigError(f"carrier {spec.name}: {field}: {path} is not a folder")
            return FileCarrier(
                name=spec.name,
                declared=spec.declared,
                outbox=outbox,
                inbox=inbox,
                account=account,
                clock=now_ms,
            )


def _smpp(spec: CarrierSpec, account: SmppAccount, folder: Path) -> SmppConfig:
    secured = account.tls
    try:
        return SmppConfig(
            name=spec.name,
            declared=spec.declared,
            host=account.host,
            port=account.port,
            system_id=account.system_id,
            password=_secret(spec, "password_file", folder / account.password_file),
            system_type=account.system_type,
            binds=spec.binds,
            window=spec.window,
            response_timeout_s=spec.response_timeout_s,
            enquire_link_s=account.enquire_link_s,
            dialect=spec.dialect,
            tls=None if secured is None else tls.context(spec.name, secured, folder),
            tls_name="" if secured is None else secured.server_name,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _web(
    spec: CarrierSpec,
    url: str,
    authorization: str,
    account: HttpAccount | WhatsappAccount,
    folder: Path,
) -> WebConfig:
    try:
        return WebConfig(
            name=spec.name,
            declared=spec.declared,
            url=url,
            authorization=authorization,
            window=spec.window,
            response_timeout_s=spec.response_timeout_s,
            tls=tls.context(spec.name, account.tls, folder) if url.startswith("https:") else None,
            tls_name=account.tls.server_name,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _secret(spec: CarrierSpec, field: str, path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        raise ConfigError(f"carrier {spec.name}: {field}: {path} cannot be read, or is empty")
    return text
