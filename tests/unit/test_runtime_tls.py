"""TLS between services: certificates that are replaced under load cost no call; who has none is not
served; files that do not fit are told, or left while the last good ones hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from services.runtime import channels, rpc, tls
from services.runtime.errors import ConfigError
from services.runtime.identity import Verifier, create_token_key
from tests.certificates import Authority, put
from tests.worker_rig import until

ASK = health_pb2.HealthCheckRequest()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    put(tmp_path / "tls", authority, "first")
    return tmp_path / "tls"


@contextlib.asynccontextmanager
async def serving(folder: Path, keys: Path) -> AsyncIterator[str]:
    create_token_key(keys)
    server = rpc.server(Verifier(keys))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_secure_port("127.0.0.1:0", tls.Files(folder).server())
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def status(channel: grpc.aio.Channel, **options: Any) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(ASK, timeout=options.pop("timeout", 5), **options)
    return int(answer.status)


async def test_certificates_that_are_replaced_under_load_cost_no_call(
    folder: Path, tmp_path: Path, authority: Authority
) -> None:
    """A new one, then another authority: first both count, then only the new one."""
    other = Authority(tmp_path, "other")
    steps = [
        (authority, "second", ()),
        (authority, "third", (other,)),
        (other, "fourth", (authority,)),
        (other, "fifth", ()),
    ]
    done, ended = 0, asyncio.Event()
    async with serving(folder, tmp_path / "keys") as target:
        lasting = channels.Renewing(target, folder, look_s=0.02)

        async def use(fresh: bool) -> None:
            nonlocal done
            while not ended.is_set():
                if fresh:
                    async with channels.channel(target, folder) as channel:
                        assert await status(channel) == 1
                else:
                    assert await status(lasting) == 1
                done += 1

        def enough(least: int) -> bool:
            return done >= least or any(task.done() for task in used)

        async with lasting:
            used = [asyncio.create_task(use(n % 2 == 0)) for n in range(8)]
            stub: Any = health_pb2_grpc.HealthStub(lasting)
            watching = stub.Watch(ASK)
            assert (await watching.read()).status == 1
            first = lasting.now()
            for signer, name, also in steps:
                before = done
                put(folder, signer, name, *also)
                await until(partial(enough, before + 200), 20)
            assert lasting.now() is not first
            # What began before the first was replaced is still under way.
            assert not watching.done()
            watching.cancel()
            ended.set()
            await asyncio.gather(*used)
        assert done >= 200 * len(steps)
        # It is the new authority that counts: what the old one signs is believed no more.
        put(tmp_path / "stale", authority, "stale", other)
        async with channels.channel(target, tmp_path / "stale") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await status(channel, timeout=1)


async def test_without_a_certificate_of_the_authority_nobody_is_served(
    folder: Path, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    put(tmp_path / "strange", stranger, "strange")
    (tmp_path / "strange" / "ca.crt").write_bytes((folder / "ca.crt").read_bytes())
    only = grpc.ssl_channel_credentials((folder / "ca.crt").read_bytes())
    async with serving(folder, tmp_path / "keys") as target:
        async with channels.channel(target, folder) as channel:
            assert await status(channel) == 1
        for strange in (
            grpc.aio.insecure_channel(target),
            grpc.aio.secure_channel(target, only),
            channels.channel(target, tmp_path / "strange"),
        ):
            async with strange as channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await status(channel, timeout=1)
                assert refused.value.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


async def test_a_client_believes_only_the_name_that_it_dialled(
    folder: Path, tmp_path: Path, authority: Authority
) -> None:
    async with serving(folder, tmp_path / "keys") as target:
        by_name = target.replace("127.0.0.1", "localhost")
        async with channels.channel(by_name, folder) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await status(channel, timeout=1)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("ca.crt", None, "ca.crt in .* cannot be read"),
        ("tls.key", None, "tls.key in .* cannot be read"),
        ("ca.crt", b"nothing", "ca.crt in .* holds no certificate"),
        ("tls.crt", b"nothing", "must be a certificate and its key"),
        ("tls.key", b"nothing", "must be a certificate and its key"),
    ],
)
def test_files_that_are_not_good_are_told(
    folder: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        tls.Files(folder)


def test_between_two_writes_the_last_good_one_holds(
    folder: Path, tmp_path: Path, authority: Authority
) -> None:
    files = tls.Files(folder)
    before = files.current()
    put(tmp_path / "next", authority, "next")
    (folder / "tls.key").write_bytes((tmp_path / "next" / "tls.key").read_bytes())
    with pytest.raises(ConfigError, match="is not the key of"):
        tls.read(folder)
    assert files.current() == before
    (folder / "tls.crt").write_bytes((tmp_path / "next" / "tls.crt").read_bytes())
    assert files.current() == tls.read(folder) != before


def test_a_command_calls_with_tls_where_the_environment_says(
    tmp_path: Path,
) -> None:
    assert channels.folder_of({}) is None
    assert channels.folder_of({"MAWJA_TLS": ""}) is None
    assert channels.folder_of({"MAWJA_TLS": str(tmp_path)}) == tmp_path
    with pytest.raises(ConfigError, match="cannot be read"):
        channels.blocking("127.0.0.1:1", tmp_path)
