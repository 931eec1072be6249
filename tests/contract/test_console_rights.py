"""Who may open what at the console, row by row, held against the table in code and against what a
running console answers; and what every route takes and sends along.

The matrix is written out again on purpose, as that of RPCs in `test_roles.py`: a role gained or
lost by a slip of the hand in the code must be said twice to pass.
"""

import ast
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute

from services.console import door, pages, rights
from services.console.calls import Calls
from services.console.pages import AREAS
from services.runtime.identity import ROLES, STAFF, Role
from tests.console_rig import Desk, desk
from tests.contract.test_roles import MATRIX as OF_RPCS
from tests.contract.test_roles import methods, short

COLUMNS = (
    Role.AGENT,
    Role.LIAISON,
    Role.COORDINATOR,
    Role.APPROVER,
    Role.AUDITOR,
    Role.ADMINISTRATOR,
)
# One mark for each column: x may, . may not. "anybody": also who is not signed in.
MATRIX = {
    "GET /": "anybody",
    "GET /sign-in": "anybody",
    "POST /sign-in": "anybody",
    "POST /sign-in/language": "anybody",
    "GET /sign-in/provider": "anybody",
    "GET /sign-in/provider/back": "anybody",
    "POST /sign-out": "xxxxxx",
    "GET /live": "anybody",
    "GET /ready": "anybody",
    "GET /wave": "xxxxxx",
    "GET /wave/live": "xxxxxx",
    "GET /wall": "xxxxxx",
    "GET /campaigns": "xxxxxx",
    "GET /campaigns/{campaign_id:uuid}": "xxxxxx",
    "GET /campaigns/{campaign_id:uuid}/live": "xxxxxx",
    "GET /campaigns/lists": "xxxxxx",
    "GET /campaigns/lists/{list_id:uuid}": "xxxxxx",
    "GET /campaigns/lists/new": "..x...",
    "POST /campaigns/lists/callers": "..x...",
    "POST /campaigns/lists/subscribers": "..x...",
    "POST /campaigns/lists/upload": "..x...",
    "GET /campaigns/new": "..x...",
    "POST /campaigns/new": "..x...",
    "POST /campaigns/preview": "..x...",
    "POST /campaigns/estimate": "..x...",
    "GET /campaigns/{campaign_id:uuid}/edit": "..x...",
    "POST /campaigns/{campaign_id:uuid}/edit": "..x...",
    "POST /campaigns/{campaign_id:uuid}/autosave": "..x...",
    "POST /campaigns/{campaign_id:uuid}/rehearse": "..x...",
    "GET /campaigns/{campaign_id:uuid}/approve": "..xx..",
    "POST /campaigns/{campaign_id:uuid}/approve": "..xx..",
    "GET /campaigns/{campaign_id:uuid}/start": "..x...",
    "POST /campaigns/{campaign_id:uuid}/start": "..x...",
    "GET /campaigns/{campaign_id:uuid}/pause": "..xx..",
    "POST /campaigns/{campaign_id:uuid}/pause": "..xx..",
    "GET /campaigns/{campaign_id:uuid}/resume": "..x...",
    "POST /campaigns/{campaign_id:uuid}/resume": "..x...",
    "GET /campaigns/{campaign_id:uuid}/resend": "..x...",
    "POST /campaigns/{campaign_id:uuid}/resend": "..x...",
    "GET /campaigns/{campaign_id:uuid}/cancel": "..xx..",
    "POST /campaigns/{campaign_id:uuid}/cancel": "..xx..",
    "GET /campaigns/{campaign_id:uuid}/recall": "..xx..",
    "POST /campaigns/{campaign_id:uuid}/recall": "..xx..",
    "GET /outreach": "xxxxxx",
    "GET /outreach/proposals": ".xxxxx",
    "GET /outreach/proposals/{proposal_id}": ".xxxxx",
    "POST /outreach/proposals/{proposal_id}/accept": "..x...",
    "POST /outreach/proposals/{proposal_id}/edit": "..x...",
    "POST /outreach/proposals/{proposal_id}/decline": "..x...",
    "GET /outreach/callbacks": "xxxxxx",
    "GET /outreach/callbacks/queue": "xxxxxx",
    "GET /outreach/callbacks/live": "xxxxxx",
    "POST /outreach/callbacks/claim": "x.....",
    "POST /outreach/callbacks/{callback_id}/extend": "x.....",
    "POST /outreach/callbacks/{callback_id}/complete": "x.....",
    "POST /outreach/callbacks/{callback_id}/no-answer": "x.....",
    "POST /outreach/callbacks/{callback_id}/release": "x.x...",
    "POST /outreach/callbacks/{callback_id}/give-up": "x.....",
    "GET /outreach/hand-overs": "xxxxxx",
    "POST /outreach/hand-overs/{case_id}/confirm": "x.x...",
    "GET /outreach/playbooks": "xxxxxx",
    "POST /outreach/playbooks/{name}/switch": "..x...",
    "GET /outreach/announcements": "xxxxxx",
    "POST /outreach/announcements/set": "..x...",
    "POST /outreach/announcements/{announcement_id}/end": "..xx..",
    "GET /cases": "xxxxxx",
    "POST /cases/find": "xxxxxx",
    "GET /cases/incidents": "xxxxxx",
    "GET /cases/incidents/{incident_id}": "xxxxxx",
    "GET /cases/{case}": "xxxxxx",
    "POST /cases/{case_id}/assign": "x.x...",
    "POST /cases/{case_id}/triage": "x.x...",
    "POST /cases/{case_id}/resolve": "x.x...",
    "POST /cases/{case_id}/reopen": "x.x...",
    "POST /cases/{case_id}/note": "xxx...",
    "POST /cases/{case_id}/merge": "x.x...",
    "POST /cases/{case_id}/split": "x.x...",
    "POST /cases/{case_id}/unlink": "x.x...",
    "POST /cases/{case_id}/reveal": "x.x...",
    "POST /cases/{case_id}/words": "x.x...",
    "GET /report": ".xxxxx",
    "GET /report/card": ".xxxxx",
    "GET /report/card.csv": ".xxxxx",
    "GET /report/card.json": ".xxxxx",
    "GET /report/surge": "..xxxx",
    "GET /report/making": "..xxxx",
    "GET /report/paper": "..xxxx",
    "GET /people": "xxxxxx",
    "POST /people/settings": "xxxxxx",
    "POST /people/revoke": "xxxxxx",
}
# Longest bodies in bytes, of who is signed in; of all others `door.STRANGER_BYTES`.
USUAL, WRITING, FILE = 262_144, 524_288, 64_065_536
LONGEST = {
    "/campaigns/new": WRITING,
    "/campaigns/preview": WRITING,
    "/campaigns/estimate": WRITING,
    "/campaigns/lists/callers": WRITING,
    "/campaigns/lists/subscribers": WRITING,
    "/campaigns/lists/upload": FILE,
    **{
        f"/campaigns/{{campaign_id:uuid}}/{deed}": WRITING
        for deed in (
            "edit",
            "autosave",
            "rehearse",
            "approve",
            "start",
            "pause",
            "resume",
            "resend",
            "cancel",
            "recall",
        )
    },
}
ROUTES = sorted(
    (method, route.path)
    for router in AREAS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
)
# They wait for a room, or for ever: whether one gets in shows in the first bytes, not in the whole.
STREAMS = {path for _, path in ROUTES if path.endswith("/live") and path != "/live"}


@pytest_asyncio.fixture(scope="module")
async def on(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A console whose rooms know none of its questions."""
    async with desk(tmp_path_factory.mktemp("console")) as running:
        yield running


def filled(path: str) -> str:
    """A path that a browser would ask for."""
    some = "00000000-0000-0000-0000-000000000000"
    parts = path.split("/")
    return "/".join(
        (some if part.endswith(":uuid}") else "x") if part.startswith("{") else part
        for part in parts
    )


def test_the_columns_are_all_staff() -> None:
    assert sorted(COLUMNS) == sorted(STAFF)
    for row in MATRIX.values():
        assert row == "anybody" or (len(row) == len(COLUMNS) and set(row) <= {"x", "."})


def test_every_route_has_a_row_here_and_in_the_code() -> None:
    declared = {f"{method} {path}" for method, path in ROUTES}
    assert declared == set(MATRIX)
    assert declared == {f"{method} {path}" for method, path in rights.RIGHTS}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_code_says_what_the_matrix_says(method: str, path: str) -> None:
    row, said = MATRIX[f"{method} {path}"], rights.RIGHTS[method, path]
    if row == "anybody":
        assert said == rights.ANYBODY
    else:
        assert said == {role for role, mark in zip(COLUMNS, row, strict=True) if mark == "x"}


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] not in STREAMS])
async def test_who_may_is_let_in_and_who_may_not_is_told(on: Desk, method: str, path: str) -> None:
    row = MATRIX[f"{method} {path}"]
    marks = dict(zip(COLUMNS, "x" * len(COLUMNS) if row == "anybody" else row, strict=True))
    for role in (*COLUMNS, Role.GATEWAY, Role.LOAD_TESTER, Role.CONSOLE):
        at = filled(path)
        # One may end one's own sessions.
        answer = await (on.get(at, role) if method == "GET" else on.post(at, role, sub=role.value))
        for name, value in door.HEADERS.items():
            tighter = name == "content-security-policy"
            assert name in answer.headers if tighter else answer.headers[name] == value
        kept_out = "Your roles do not allow this" in answer.text
        assert kept_out is (row != "anybody" and marks.get(role, ".") == "."), role
        assert not kept_out or answer.status_code == 403


@pytest.mark.parametrize("path", sorted(path for method, path in ROUTES if method == "POST"))
@pytest.mark.parametrize("stranger", [False, True])
async def test_a_form_may_be_as_long_as_its_row_says(on: Desk, path: str, stranger: bool) -> None:
    longest = door.STRANGER_BYTES if stranger else LONGEST.get(path, USUAL)
    role = None if stranger else next(r for r in COLUMNS if r in rights.RIGHTS["POST", path])
    token = await on.token(role)
    for length, too_long in ((longest, False), (longest + 1, True)):
        headers = {
            "cookie": f"mawja={token}",
            "content-type": "application/x-www-form-urlencoded",
            # What is said is believed first, and what comes is counted (`test_console_door.py`).
            "content-length": str(length),
        }
        answer = await on.client.post(filled(path), content=b"", headers=headers)
        assert (answer.status_code == 413) is too_long, length


def called() -> Iterator[str]:
    """Names of the RPCs that any page asks for, as its code says them."""
    known = {short(name).split("/")[1] for name, _ in methods()}
    folder = Path(inspect.getfile(pages)).parents[1]
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "attr", None) or getattr(node, "value", None)
            if isinstance(name, str) and name in known:
                yield name


def test_whatever_a_page_asks_of_a_room_has_a_row_there() -> None:
    asked = set(called())
    rows = {name.split("/")[1]: row for name, row in OF_RPCS.items()}
    assert len(asked) > 40
    assert asked <= set(rows)
    assert {short(name).split("/")[1] for name in ROLES} == set(rows)


def test_what_the_console_follows_for_all_may_read_and_no_more() -> None:
    """Its own tokens: what is live for all who look, and what the audit is told."""
    source = inspect.getsource(Calls)
    assert source.count('"console"') == 2
    reads = ("Get", "List", "Find", "Watch", "Preview", "Estimate", "Export", "Explain", "Make")
    for role in (Role.AUDITOR, Role.CONSOLE):
        may = {short(name).split("/")[1] for name, of in ROLES.items() if role in of}
        assert {one for one in may if not one.startswith(reads)} == (
            {"NoteSession"} if role is Role.CONSOLE else set()
        )
