"""`mawja playbook`: whether playbooks are right, what they would do, and why they did it."""

import dataclasses
import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.outreach.v1 import playbooks_pb2, playbooks_pb2_grpc
from rich.table import Table

from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.tools import where
from services.tools.asked import Service, ended, place, shown
from services.tools.options import AsAgent, AsJson, Dedup, Outreach, Token
from services.tools.screen import console, show_answer
from services.tools.told import told

app = typer.Typer(
    name="playbook",
    help="When outreach writes to a person or owes them a call: check, try, explain.",
    no_args_is_help=True,
)
Knowledge = Annotated[
    Path | None,
    typer.Option(help="The file of questions and answers. None: the shipped examples."),
]
Books = Annotated[
    Path | None, typer.Option(help="The folder of playbooks. None: the shipped ones.")
]


@app.callback()
def group() -> None:
    """When outreach writes to a person or owes them a call: check, try, explain."""


@app.command("check")
def check_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATHS]", help="Folders of playbooks. None: the shipped ones."),
    ] = None,
    knowledge: Knowledge = None,
) -> None:
    """Read playbooks as the service would, and play the scenes in their section `tests`.

    What is wrong is named with file, line and field, and the exit code is 1. A service that is
    given such a folder (MAWJA_RULES) leaves the wrong playbooks out, and the others work.
    """
    with told():
        from services.outreach import shelf
        from services.outreach.playing import differs
        from services.runtime import knowledge_file

        known = knowledge_file.read(knowledge)
        wrong = False
        places: list[Path | None] = [*paths] if paths else [None]
        for path in places:
            found = shelf.read(path)
            for playbook in found.playbooks:
                name, failed = playbook.rule.name, False
                for scene in playbook.scenes:
                    told_ = differs(name, scene, found.rules, found.shared.calling, known)
                    for difference in told_:
                        failed = wrong = True
                        line = f"{name}.yaml: line {scene.line}, tests"
                        print(f"{line}: {scene.name}: {difference}")
                if not failed:
                    tested = f", {len(playbook.scenes)} scenes" if playbook.scenes else ""
                    announced = playbook.rule.announcement
                    only = announced is not None and not announced.approver
                    note = "; heard in rehearsals only: nobody approved its words" if only else ""
                    print(f"{playbook.rule.label}: right{tested}{note}")
            for problems in found.wrong.values():
                wrong = True
                for problem in problems:
                    print(problem)
        if wrong:
            raise typer.Exit(1)


@app.command("replay")
def replay_command(
    file: Annotated[
        Path, typer.Argument(help="What happened: a CSV with headings, or a JSON object a line.")
    ],
    playbooks: Books = None,
    knowledge: Knowledge = None,
    each: Annotated[
        bool, typer.Option("--each", help="Also every single thing, in order.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What playbooks would have done: recorded events are played, and nothing is sent.

    Fields of an event: `at` (a time with its zone, or Unix ms), `event` (contact, abandoned,
    answered, resolved, reopened, assigned, confirmed, burst, incident), `case`, and as far as they
    are known `person`, `channel`, `language`, `agency`, `line`, `number` (mobile, landline,
    withheld), `life-safety`, `confidence`, `question`, `people`. Cases and people are any words: no
    numbers are needed. Time goes on for two days after the last event.
    """
    with told():
        from services.outreach import shelf
        from services.outreach.playing import Done, Player, counts
        from services.runtime import knowledge_file
        from services.tools import playbook_events

        books = shelf.read(playbooks)
        player = Player(books.rules, books.shared.calling, knowledge_file.read(knowledge))
        events = playbook_events.read(file)
        done: list[Done] = []
        for at_ms, one in events:
            done += player.happens(one, at_ms)
        if events:
            done += player.passes(events[-1][0] + 2 * 86_400_000)
        found = counts(done)
        if as_json:
            by = [
                {"playbook": name, "does": what, "count": count}
                for (name, what), count in sorted(found.items())
            ]
            whole: dict[str, Any] = {"events": len(events), "counts": by}
            if each:
                whole["done"] = [dataclasses.asdict(deed) for deed in done]
            json.dump(whole, sys.stdout, indent=2, ensure_ascii=False)
            print()
            return
        zone = books.shared.calling.zone
        for deed in done if each else ():
            at = datetime.fromtimestamp(deed.at_ms / 1000, zone)
            more = " ".join(word for word in (deed.language, deed.to) if word)
            line = f"{at:%Y-%m-%d %H:%M:%S}  {deed.playbook}  {deed.what}  {deed.case}  {more}"
            print(line.rstrip())
        table = Table("playbook", "does", "times", box=None, pad_edge=False)
        for (name, what), count in sorted(found.items()):
            table.add_row(name, what, f"{count:,}")
        console().print(table)
        print(f"{len(events):,} events were played; nothing was sent")


@app.command("explain")
def explain_command(
    case: Annotated[str, typer.Argument(help="The number of a case (MW-…), or its id.")],
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    dedup_at: Dedup = "",
    home: where.Home = None,
) -> None:
    """Why the person of a case did or did not hear from us.

    Each playbook with what it did, as the log has it, and otherwise with every condition that does
    not hold. Conditions are held against the case as it stands now. No number is shown.
    """
    with ended("mawja playbook explain"):
        target, keys = place(home, dedup_at, "dedup")
        who = shown(token, as_subject, keys, Role.AGENT)
        with closing(Service(target, "dedup", dedup_grpc.DedupServiceStub, who)) as service:
            found = service.ask("GetCase", dedup.GetCaseRequest(case=case))
        with _playbooks(home, outreach, token, as_subject) as service:
            request = playbooks_pb2.ExplainCaseRequest(case=found.case)
            if found.links:
                request.contact_id = found.links[0].contact_id
            answer = service.ask("ExplainCase", request)
        if as_json:
            show_answer(answer)
            return
        for one in answer.explanations:
            does = ", ".join(one.does)
            print(f"{one.playbook} (on {one.event}: {does})")
            for deed in one.deeds:
                print(f"  done {_local(deed.at_ms)}: {deed.what}, {deed.step}")
            for why in one.unmet:
                print(f"  {'no more' if one.deeds else 'not done'}: {why}")
            if not one.deeds and not one.unmet:
                print("  not done, though all that it asks for holds now")


@app.command("hand-overs")
def hand_overs_command(
    agency: Annotated[str, typer.Option(help="Only of this agency.")] = "",
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """Cases with a life in danger that were handed over and that nobody has confirmed."""
    with (
        ended("mawja playbook hand-overs"),
        _playbooks(home, outreach, token, as_subject) as service,
    ):
        answer = service.ask("ListHandOvers", playbooks_pb2.ListHandOversRequest(agency=agency))
        if as_json:
            show_answer(answer)
            return
        table = Table("case", "since", "agency", "language", "told", "", box=None, pad_edge=False)
        for one in answer.hand_overs:
            handed = one.hand_over
            minutes = max(0, now_ms() - handed.since_ms) // 60_000
            table.add_row(
                one.case_number,
                f"{minutes:,} min",
                one.agency or "-",
                one.language or "-",
                f"{handed.told_to} ({handed.told})",
                "drill" if one.drill else "",
            )
        console().print(table if answer.hand_overs else "nothing waits for somebody to confirm it")


@app.command("confirm")
def confirm_command(
    case: Annotated[str, typer.Argument(help="The number of the case (MW-…), or its id.")],
    as_json: AsJson = False,
    token: Token = "",
    as_subject: AsAgent = "",
    outreach: Outreach = "",
    home: where.Home = None,
) -> None:
    """You have the case that was handed over: nobody else is told."""
    with (
        ended("mawja playbook hand-overs"),
        _playbooks(home, outreach, token, as_subject) as service,
    ):
        waiting = service.ask("ListHandOvers", playbooks_pb2.ListHandOversRequest(page_size=500))
        by_number = {one.case_number: one.case_id for one in waiting.hand_overs}
        answer = service.ask(
            "ConfirmHandOver",
            playbooks_pb2.ConfirmHandOverRequest(
                request_id=str(uuid.uuid4()), case_id=by_number.get(case.upper(), case)
            ),
        )
        if as_json:
            show_answer(answer)
            return
        print(f"{answer.hand_over.case_number}: yours since {_local(now_ms())}")


@contextmanager
def _playbooks(home: Path | None, outreach: str, token: str, subject: str) -> Iterator[Service]:
    target, keys = place(home, outreach, "outreach")
    who = shown(token, subject, keys, Role.AGENT)
    stub = playbooks_pb2_grpc.PlaybookServiceStub
    with closing(Service(target, "outreach", stub, who)) as service:
        yield service


def _local(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%d/%m %H:%M:%S")
