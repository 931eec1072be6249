"""Every command that asks a service ends in one line when it is refused or the service is away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import jwt
import pytest
from typer.testing import CliRunner

from services.runtime import ids
from services.tools.__main__ import app
from services.tools.told import AWAY

ID = ids.derive("campaign", "any")
TOKEN = jwt.encode({"sub": "amal"}, "k" * 32)
ROOMS = ("INTAKE", "DEDUP", "WAVE", "OUTREACH", "BROADCAST")
ASKING = f"""
plan --live
campaign export-alert {ID}
campaign audience LIST
campaign audiences
campaign preview {ID}
campaign rehearse {ID}
campaign list
campaign show {ID}
campaign approve {ID} --yes
campaign start {ID}
campaign watch {ID}
campaign pause {ID} --reason asked
campaign resume {ID} --reason asked
campaign cancel {ID} --reason asked
campaign recall {ID} --reason asked
campaign resend {ID} --reason asked
campaign export {ID}
campaign opt-outs LIST
callbacks list
callbacks claim
callbacks extend
callbacks complete resolved
callbacks no-answer
callbacks release
callbacks give-up --reason moved
announce set --line 109 --ar x --en x --lasts 10m
announce list
announce end {ID}
people erase +97150123456 --reason asked --yes
proposal list
proposal show {ID}
proposal accept {ID}
proposal decline {ID} --reason no
practice next
practice answer moh vaccination
practice topics
practice scores
contracts state
playbook explain MW-1
playbook hand-overs
playbook confirm MW-1
""".strip().splitlines()
STREAMING = """
practice start --agent amal
import calls CALLS --yes --map arrived=time
drill play flash --size 10 --speed 3600
""".strip().splitlines()
"""These send again what a service that is away did not take; so only a refusal ends them."""


class _Refusing(grpc.GenericRpcHandler):
    """Answers calls of the services whose names begin with `room` with one status, others with
    nothing."""

    def __init__(self) -> None:
        self.code, self.room, self.asked = grpc.StatusCode.OK, "", 0

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """The same for all methods; as a stream of both sides it fits each."""
        refused = details.method.startswith(f"/mawja.{self.room}")

        def answer(asked: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            if refused:
                self.asked += 1
                context.abort(self.code, "said by the service")
            yield b""

        return grpc.stream_stream_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[_Refusing, str]]:
    answers = _Refusing()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[answers])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield answers, f"127.0.0.1:{port}"
    server.stop(0).wait()


def told(target: str, words: str, folder: Path) -> tuple[int, str]:
    """How a command ended, and the last that it said; every room is at `target`."""
    env = {f"MAWJA_{room}": target for room in ROOMS}
    env |= {"MAWJA_TOKEN": TOKEN, "MAWJA_KAFKA": "127.0.0.1:1", "MAWJA_DRILLS": str(folder)}
    people, calls = folder / "list.csv", folder / "calls.csv"
    people.write_text("number,language\n+97150123456,ar\n")
    calls.write_text("id,time,number,line\n1,2026-11-22T10:00:00Z,+97150123456,109\n")
    typed = words.replace("LIST", str(people)).replace("CALLS", str(calls)).split()
    done = CliRunner().invoke(app, typed, env=env)
    assert isinstance(done.exception, SystemExit), f"{done.output}\n{done.exception!r}"
    return done.exit_code, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("words", [*ASKING, *STREAMING])
def test_a_refusal_ends_a_command_in_one_line(
    refusing: tuple[_Refusing, str], words: str, tmp_path: Path
) -> None:
    answers, target = refusing
    answers.code, answers.room, answers.asked = grpc.StatusCode.PERMISSION_DENIED, "", 0
    code, said = told(target, words, tmp_path)
    assert answers.asked, said
    assert code == 1
    assert said.startswith("mawja: ")
    assert "said by the service" in said


@pytest.mark.parametrize("words", {words.split()[0]: words for words in ASKING}.values())
def test_a_service_that_is_away_ends_a_command_in_one_line(
    refusing: tuple[_Refusing, str], words: str, tmp_path: Path
) -> None:
    answers, target = refusing
    answers.code, answers.room, answers.asked = grpc.StatusCode.UNAVAILABLE, "", 0
    code, said = told(target, words, tmp_path)
    assert answers.asked, said
    assert code in (1, AWAY)
    assert said.startswith("mawja: ")


@pytest.mark.parametrize("room", ["wave", "intake"])
def test_a_drill_tells_which_roles_it_takes(
    refusing: tuple[_Refusing, str], room: str, tmp_path: Path
) -> None:
    answers, target = refusing
    answers.code, answers.room = grpc.StatusCode.PERMISSION_DENIED, room
    code, said = told(target, "drill play flash --size 10 --speed 3600", tmp_path)
    assert code == 1
    assert said.startswith(f"mawja: {room} says: said by the service.")
    assert "load-tester and auditor" in said


def test_a_playbook_is_no_record_of_what_happened(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: x\n")
    code, said = told("127.0.0.1:1", f"playbook replay {tmp_path}/x.yaml", tmp_path)
    assert code == 1
    assert "looks like a playbook" in said
    assert "mawja playbook check" in said
