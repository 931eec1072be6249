"""Carriers over TLS, with an authority made here: who is trusted, under which name, and who not."""

import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.broadcast.carriers import tls
from services.broadcast.carriers.base import Accepted, ReceiptState, Refused
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.http import HttpCarrier
from services.broadcast.carriers.smpp import SmppCarrier
from services.broadcast.carriers.specs import TlsSpec
from services.runtime.clock import now_ms
from services.runtime.errors import ConfigError
from tests.certificates import HERE, Authority, before, context
from tests.smpp_rig import Got, Starter, bound, configured, part, until
from tests.web_peers import SECRET, Peer
from tests.web_rig import config, message

OTHER_NAME = x509.DNSName("smsc.example.ae")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


def trusted(authority: Authority, **fields: str) -> TlsSpec:
    return TlsSpec(ca_file=authority.file.name, **fields)


async def test_several_binds_over_tls_send_and_bring_receipts(
    smsc: Starter, authority: Authority
) -> None:
    centre, got = smsc(), Got()
    made = tls.context("smsc", trusted(authority), authority.file.parent)
    async with (
        before(centre.port, context(authority.issue("here", HERE))) as port,
        bound(port, got, binds=3, tls=made) as carrier,
    ):
        await until(lambda: carrier.counters.binds == 3)
        outcomes = await carrier.submit_many([part(n) for n in range(60)])
        assert all(isinstance(one, Accepted) for one in outcomes)
        await until(lambda: len(got.receipts) == 60)
    assert {one.state for one in got.receipts} == {ReceiptState.DELIVERED}
    assert len(list(centre.submits())) == 60


async def test_the_certificates_name_may_be_another_than_the_hosts(
    smsc: Starter, authority: Authority
) -> None:
    made = tls.context("smsc", trusted(authority), authority.file.parent)
    async with before(smsc().port, context(authority.issue("named", OTHER_NAME))) as port:
        async with bound(port, tls=made, tls_name="smsc.example.ae") as carrier:
            assert isinstance(await carrier.submit(part(1)), Accepted)
        await nobody(port, tls=made)


async def test_a_client_certificate_is_shown_where_one_is_asked_for(
    smsc: Starter, authority: Authority
) -> None:
    certificate, key = authority.issue("mawja", HERE)
    with_own = trusted(authority, certificate_file=certificate.name, key_file=key.name)
    asking = context(authority.issue("asking", HERE), clients=authority.file)
    async with before(smsc().port, asking) as port:
        made = tls.context("smsc", with_own, authority.file.parent)
        async with bound(port, tls=made) as carrier:
            assert isinstance(await carrier.submit(part(1)), Accepted)
        await nobody(port, tls=tls.context("smsc", trusted(authority), authority.file.parent))


async def test_a_certificate_of_another_authority_is_not_bound_to(
    smsc: Starter, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    made = tls.context("smsc", trusted(authority), authority.file.parent)
    async with before(smsc().port, context(stranger.issue("false", HERE))) as port:
        await nobody(port, tls=made)
        await nobody(port, tls=tls.context("smsc", TlsSpec(), authority.file.parent))


async def nobody(port: int, **changes: Any) -> None:
    """Holds that no bind comes about."""
    carrier, got = SmppCarrier(configured(port, **changes)), Got()
    await carrier.start(got.on_receipts, got.on_inbound)
    assert not await carrier.wait_bound(0.5)
    await carrier.stop()


async def test_an_aggregator_over_tls(authority: Authority, tmp_path: Path) -> None:
    stranger, got = Authority(tmp_path, "stranger"), Got()
    for signer, right in ((authority, True), (stranger, False)):
        peer = Peer()
        await peer.start(tls=context(signer.issue("web", HERE)))
        url = f"https://127.0.0.1:{peer.port}{peer.path}"
        made = tls.context("web", trusted(authority), authority.file.parent)
        carrier = HttpCarrier(config(url, tls=made), SECRET, now_ms)
        await carrier.start(got.on_receipts, got.on_inbound)
        assert await carrier.wait_bound(5 if right else 0.5) is right
        outcome = await carrier.submit(message(1), write_by=time.monotonic() + 2)
        assert outcome == (Accepted("a1") if right else Refused(SendError.NOT_SENT))
        await carrier.stop()
        await peer.stop()
        assert len(peer.asked) == right


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"ca_file": "nothing.pem"}, "tls.ca_file"),
        ({"ca_file": "none.pem"}, "tls.ca_file"),
        ({"certificate_file": "none.pem", "key_file": "none.pem"}, "tls.certificate_file"),
    ],
)
def test_a_file_that_is_none_is_named(fields: dict[str, str], names: str, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=f"carrier smsc: {names}: "):
        tls.context("smsc", TlsSpec(**fields), tmp_path)


def test_a_key_with_a_password_is_refused_instead_of_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key_file = authority.issue("mawja", HERE)
    key_file.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    spec = TlsSpec(certificate_file=certificate.name, key_file=key_file.name)
    with pytest.raises(ConfigError, match="protected by a password"):
        tls.context("smsc", spec, tmp_path)
