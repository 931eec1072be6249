"""`mawja practice`: give agents exercises, work one, look at scores."""

import asyncio
import os
import uuid
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Annotated

import typer
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.outreach.v1 import events_pb2, service_pb2

from services.runtime.clock import now_ms
from services.runtime.errors import NotFound
from services.runtime.identity import Role
from services.tools import where
from services.tools.asked import Service, ended, opened, place, shown, subject_of
from services.tools.callbacks import Desk
from services.tools.options import AsAgent, AsJson, Outreach, Token
from services.tools.practice import telling
from services.tools.screen import console, show_answer

app = typer.Typer(
    name="practice",
    help="""Practise on synthetic callers: no real one is among them, and nobody is called.

A trainer gives agents exercises (`start`). An agent takes one (`next`), reads what the caller says,
and answers whose matter it is, which service, and whether a life is in danger (`answer`); then the
solution is shown, with the procedure of the catalogue. Who has an exercise gets no real caller
until it is answered. Scores stay: an agent sees their own, coordinators and auditors everybody's.

Works on the local run (`mawja up`), or on the services at MAWJA_OUTREACH, MAWJA_DEDUP and
MAWJA_INTAKE.

Exit codes: 0 done; 1 refused, or something is wrong with what was given; 2 no such command or
option; 3 the service did not answer, so that it may be asked again; 130 Ctrl-C.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_SOURCE = "practice"
_PRACTICE = events_pb2.WORK_PRACTICE
_RESOLVED = events_pb2.CALLBACK_OUTCOME_RESOLVED


def _desk(
    home: Path | None, outreach: str, token: str, subject: str, role: Role = Role.AGENT
) -> AbstractContextManager[Desk]:
    return opened(Desk, "outreach", role, "mawja practice scores", home, outreach, token, subject)


@app.command("start")
def start_command(
    agent: Annotated[list[str], typer.Option(help="Token subject of who practises; repeat it.")],
    cases: Annotated[int, typer.Option(min=1, max=200, help="Exercises for each.")] = 6,
    every: Annotated[
        str, typer.Option(help="Time from one to the next, e.g. 1m; 0s: all at once.")
    ] = "0s",
    language: Annotated[
        list[str] | None, typer.Option(help="Only in this one (ar, en, hi, …); repeat it.")
    ] = None,
    difficulty: Annotated[
        list[int] | None, typer.Option(min=1, max=3, help="Only so hard; repeat it.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same makes the same exercises. Default: new ones.")
    ] = None,
    token: Annotated[
        str,
        typer.Option(
            envvar="MAWJA_TOKEN",
            help="Of the role load-tester; made where the key ring is.",
            show_envvar=True,
        ),
    ] = "",
    home: where.Home = None,
) -> None:
    """Give agents exercises, of mixed difficulty and language."""
    with ended("mawja practice scores"):
        from loadtests.shapes import ShapeError, seconds
        from loadtests.texts import phrasebook
        from services.tools.practice.exercises import Made, NoSuchExercise, exercises
        from services.tools.practice.sending import send

        try:
            pause_s = seconds(every)
            made = list(
                exercises(
                    phrasebook(),
                    list(dict.fromkeys(agent)),
                    cases,
                    now_ms() if seed is None else seed,
                    language or (),
                    difficulty or (),
                )
            )
        except (ShapeError, NoSuchExercise) as error:
            raise typer.BadParameter(str(error)) from None
        target, keys = place(home, os.environ.get("MAWJA_INTAKE", ""), "intake")
        sender = shown(token, "" if token else _SOURCE, keys, Role.LOAD_TESTER)
        source = subject_of(token) if token else _SOURCE

        def sent(one: Made) -> None:
            if pause_s:
                print(f"{one.exercise.agent}: {one.exercise.code} ({one.exercise.difficulty})")

        asyncio.run(send(target, sender, source, made, pause_s, sent))
        several = len(set(agent))
        of = "1 agent" if several == 1 else f"{several} agents"
        print(f"{len(made)} exercises for {of}: mawja practice next --as …")


@app.command("next")
def next_command(
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Take your next exercise; the one that you have, if there is one."""
    with _desk(home, outreach, token, as_subject) as desk:
        answer = desk.ask("ClaimCallback", service_pb2.ClaimCallbackRequest(work=_PRACTICE))
        if as_json:
            show_answer(answer)
        elif answer.HasField("callback"):
            console().print(telling.exercise(answer.callback))
        else:
            print("there is no exercise for you; ask your trainer (mawja practice start)")


@app.command("answer")
def answer_command(
    agency: Annotated[str, typer.Argument(help="Whose matter it is: a code (see `topics`).")],
    topic: Annotated[str, typer.Argument(help="Which of its services: a code.")],
    danger: Annotated[bool, typer.Option("--danger", help="A life is in danger.")] = False,
    note: Annotated[str, typer.Option(help="What you would note; stored sealed.")] = "",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Answer the exercise that you have, and see how it was."""
    with _desk(home, outreach, token, as_subject) as desk:
        mine = desk.mine()
        if not mine.HasField("exercise"):
            raise NotFound("you have no exercise, but a caller: `mawja callbacks`")
        given = common_pb2.Solution(agency=agency, topic=topic, life_safety=danger)
        request = service_pb2.CompleteCallbackRequest(
            request_id=str(uuid.uuid4()),
            callback_id=mine.callback_id,
            outcome=_RESOLVED,
            note=note,
            answer=given,
        )
        told = desk.ask("CompleteCallback", request)
        if as_json:
            show_answer(told)
            return
        solution = told.feedback.solution
        found = _catalogue(home, desk.token, solution.agency)
        service = next(
            (one for it in found for one in it.services if one.topic == solution.topic), None
        )
        console().print(telling.feedback(told.feedback, given, service, mine.language))


@app.command("topics")
def topics_command(
    agency: Annotated[str, typer.Argument(help="Only of this agency.")] = "",
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """The codes of agencies and their services."""
    with _desk(home, outreach, token, as_subject) as desk:
        console().print(telling.topics(_catalogue(home, desk.token, agency)))


@app.command("scores")
def scores_command(
    agent: Annotated[str, typer.Option(help="Only this one's; yours, if you are an agent.")] = "",
    most: Annotated[int, typer.Option(min=1, max=500, help="How many exercises.")] = 100,
    coordinator: Annotated[
        bool,
        typer.Option("--coordinator", help="With --as: look as a coordinator, at everybody's."),
    ] = False,
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """What was practised: scores by agent, and the latest exercises."""
    role = Role.COORDINATOR if coordinator else Role.AGENT
    with _desk(home, outreach, token, as_subject, role) as desk:
        request = service_pb2.ListPracticeRequest(agent=agent, page_size=most)
        answer = desk.ask("ListPractice", request)
        if as_json:
            show_answer(answer)
        elif answer.practised:
            console().print(telling.scores(answer.practised))
        else:
            print("nothing was practised yet")


def _catalogue(home: Path | None, who: str, agency: str) -> list[dedup_pb2.CatalogueAgency]:
    target, _ = place(home, os.environ.get("MAWJA_DEDUP", ""), "dedup")
    with closing(Service(target, "dedup", dedup_grpc.DedupServiceStub, who)) as service:
        answer = service.ask("GetCatalogue", dedup_pb2.GetCatalogueRequest(agency=agency))
    return list(answer.agencies)
