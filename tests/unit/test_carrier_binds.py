"""Carriers are made from the file and what stands beside it; what is missing there is named."""

from pathlib import Path

import pytest

from services.broadcast import binds
from services.broadcast.carriers.filedrop import FileCarrier
from services.broadcast.carriers.http import HttpCarrier
from services.broadcast.carriers.smpp import SmppCarrier
from services.broadcast.carriers.whatsapp import WhatsappCarrier
from services.broadcast.routes import parse
from services.runtime.errors import ConfigError
from tests.certificates import Authority
from tests.unit.test_carrier_specs import FILE
from tests.web_peers import SECRET_TEXT

SECRETS = {
    "aggregator.authorization": "Bearer abc",
    "aggregator.secret": SECRET_TEXT,
    "whatsapp.token": "token",
    "whatsapp.app-secret": "app-secret",
    "whatsapp.verify-token": "verify-token",
    "secured.password": "secret",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(f"{text}\n")
    Authority(tmp_path, "aggregator")
    for name in ("out", "in"):
        (tmp_path / name).mkdir()
    path = tmp_path / "carriers.yaml"
    path.write_text(
        FILE.replace("/var/spool/bureau/", "").replace("tls: {}", "tls: {server_name: smsc.ae}")
    )
    return tmp_path


def test_each_kind_is_made(folder: Path) -> None:
    outs = binds.make(binds.load(folder / "carriers.yaml"), folder)
    http = outs["aggregator"].carrier
    assert isinstance(http, HttpCarrier)
    assert (http.config.authorization, http.config.tls is not None) == ("Bearer abc", True)
    whatsapp = outs["whatsapp"].carrier
    assert isinstance(whatsapp, WhatsappCarrier)
    assert whatsapp.config.authorization == "Bearer token"
    assert whatsapp.config.url == "https://graph.facebook.com/v24.0/106540352242922/messages"
    assert isinstance(outs["bureau"].carrier, FileCarrier)
    smpp = outs["secured"].carrier
    assert isinstance(smpp, SmppCarrier)
    assert (smpp.config.binds, smpp.config.tls_name) == (4, "smsc.ae")
    assert smpp.config.tls is not None
    assert {out.carrier.declared for out in outs.values()} == {"live"}
    assert not any(out.carrier.bound for out in outs.values())


def test_an_smpp_carrier_without_tls_is_plain(folder: Path) -> None:
    text = (folder / "carriers.yaml").read_text().replace("    tls: {server_name: smsc.ae}\n", "")
    smpp = binds.make(parse(text, "carriers.yaml"), folder)["secured"].carrier
    assert isinstance(smpp, SmppCarrier)
    assert smpp.config.tls is None


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("aggregator.authorization", "", "carrier aggregator: authorization_file: "),
        ("aggregator.authorization", "Bearer x\nX-Other: y", "its authorization is one line"),
        ("aggregator.secret", "c2hvcnQ=", "carrier aggregator: secret_file: a webhook's secret"),
        ("aggregator.secret", "no base64!", "carrier aggregator: secret_file: a webhook's secret"),
        ("aggregator.pem", "none", "carrier aggregator: tls.ca_file: "),
        ("whatsapp.app-secret", None, "carrier whatsapp: app_secret_file: "),
        ("secured.password", None, "carrier secured: password_file: "),
        ("secured.password", "far too long", "carrier secured: system id"),
        ("in", None, "carrier bureau: inbox: "),
    ],
)
def test_what_is_missing_beside_the_file_is_named(
    folder: Path, name: str, text: str | None, says: str
) -> None:
    path = folder / name
    if text is not None:
        path.write_text(text)
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    with pytest.raises(ConfigError) as refused:
        binds.make(binds.load(folder / "carriers.yaml"), folder)
    assert says in str(refused.value)
    assert "abc" not in str(refused.value)
