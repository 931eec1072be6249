"""A campaign's counts on the pages add up, and a file goes through the console as it came."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2 as pb

from services.broadcast.campaigns import returning
from services.console import words
from services.console.campaigns import figures, names, views
from services.console.campaigns.deeds import DEEDS, offered
from services.console.campaigns.streaming import PIECE, BadForm, FileForm
from services.console.who import Person
from services.runtime.identity import ROLES, Role
from tests.console_campaigns_rig import LIST, Console, console

SHARES = Path(returning.__file__).with_name("calls_back.yaml").read_text("utf-8")
BUCKETS = [one for one in pb.Bucket.values() if one]
counts = st.lists(
    st.builds(
        lambda bucket, reason, n: pb.BucketCount(bucket=bucket, reason=reason, recipients=n),
        st.sampled_from(BUCKETS),
        st.sampled_from(["", "opt-out", "refused"]),
        st.integers(0, 10_000),
    ),
    max_size=30,
)


@given(counts)
def test_slices_add_up_to_everybody(some: list[pb.BucketCount]) -> None:
    whole = figures.whole(some)
    assert whole.total == sum(one.recipients for one in some)
    assert sum(one.recipients for one in whole.slices) == whole.total
    end = 0.0
    for one in whole.slices:
        assert one.start == pytest.approx(end)
        end = one.start + one.share
        assert sum(count for _, count in one.reasons) <= one.recipients
    assert whole.reached <= whole.given <= whole.total


def test_every_bucket_and_state_has_a_name() -> None:
    assert {figures.bucket_name(one) for one in BUCKETS} == set(names.BUCKETS)
    states = [one for one in pb.CampaignState.values() if one]
    assert {figures.state_name(one) for one in states} == set(names.STATES)


def test_deeds_offer_what_the_rooms_allow() -> None:
    for deed in DEEDS.values():
        assert deed.roles == ROLES[f"/mawja.broadcast.v1.CampaignService/{deed.method}"], deed.name


def test_an_author_is_not_offered_the_approval() -> None:
    campaign = pb.Campaign(state=pb.CAMPAIGN_STATE_REHEARSED)
    campaign.made.subject = campaign.changed.subject = "amal"

    def names_of(sub: str, role: Role) -> set[str]:
        who = Person(sub, sub, frozenset({role}), "", "en", "s", "c")
        return {deed.name for deed in offered(campaign, 0, who)}

    assert names_of("Amal ", Role.COORDINATOR) == {"rehearse", "cancel"}
    assert names_of("badr", Role.COORDINATOR) == {"rehearse", "approve", "cancel"}
    assert names_of("badr", Role.APPROVER) == {"approve", "cancel"}
    assert names_of("noor", Role.AGENT) == set()
    campaign.state = pb.CAMPAIGN_STATE_COMPLETED
    campaign.started.subject = "amal"
    assert names_of("badr", Role.APPROVER) == set()
    campaign.plan.corrections.add(language="ar", template="x")
    assert names_of("badr", Role.APPROVER) == {"recall"}


def test_what_is_not_known_is_not_counted() -> None:
    seen = pb.WatchCampaignResponse(
        buckets=[pb.BucketCount(bucket=pb.BUCKET_WAITING, recipients=5)],
        counted_ms=-1,
        recipients_per_second=4,
    )
    told = views.progress(seen, lambda one: one)
    assert told["whole"].total == 0
    assert told["seen"]["rate"] == 0


def test_a_rehearsal_takes_as_long_as_the_slowest_says() -> None:
    campaign = pb.Campaign()
    campaign.plan.most_parts_per_second = 2
    campaign.rehearsal.buckets.add(bucket=pb.BUCKET_WAITING, recipients=50, parts=100, carrier="a")
    campaign.rehearsal.etas.add(carrier="a", parts=100, takes_ms=10_000)
    campaign.rehearsal.calls_back.calls = 30
    campaign.rehearsal.calls_back.room_per_minute = 10
    found = figures.found(campaign)
    assert found is not None
    assert (found.slowest_ms, found.back_ms) == (50_000, 180_000)


BOUNDARY = "xxBOUNDARYxx"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def multipart(fields: dict[str, str], file: bytes, end: bool = True) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        "Content-Type: text/csv\r\n\r\n"
    )
    last = f"\r\n--{BOUNDARY}--\r\n".encode() if end else b""
    return b"".join(parts) + head.encode() + file + last


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), size):
        yield body[begin : begin + size]


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000_000])
async def test_a_file_comes_through_as_it_was_sent(size: int) -> None:
    file = (b"\r\n--xxBOUNDARY" + bytes(range(256))) * (30 if size == 1 else 3000)
    form = FileForm(TYPE, cut(multipart({"csrf": "c", "name": "اسم"}, file), size), 10**7)
    assert await form.fields() == {"csrf": "c", "name": "اسم"}
    assert form.filename == "a.csv"
    pieces = [one async for one in form.pieces()]
    assert b"".join(pieces) == file
    assert all(len(one) == PIECE for one in pieces[:-1])


async def test_what_is_no_whole_form_is_told() -> None:
    with pytest.raises(BadForm, match="form with a file"):
        FileForm("application/json", cut(b"{}", 10), 10)
    form = FileForm(TYPE, cut(f"--{BOUNDARY}--\r\n".encode(), 10), 10)
    with pytest.raises(BadForm, match="no file"):
        await form.fields()
    form = FileForm(TYPE, cut(multipart({}, b"x" * 100, end=False), 10), 1000)
    await form.fields()
    with pytest.raises(BadForm, match="broke off"):
        [one async for one in form.pieces()]
    form = FileForm(TYPE, cut(multipart({}, b"x" * 100), 10), 99)
    await form.fields()
    with pytest.raises(BadForm, match="too long"):
        [one async for one in form.pieces()]
    form = FileForm(TYPE, cut(multipart({"a": "x" * 5000}, b"x"), 100), 99)
    with pytest.raises(BadForm, match="too much"):
        await form.fields()


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Console]:
    async with console(tmp_path) as opened:
        yield opened


FORM = {"country": "ae", "drill": "1", "number_column": "mobile"}


async def test_an_upload_is_handed_on_and_its_bad_rows_are_told(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR, language="ar")
    rule = "The number has too few digits; write it in full."
    room.broadcast.bad = [pb.BadRow(line=7, field="<b>mobile", rule=rule)]
    file = b"mobile\n" + b"+999512345678\n" * 20_000
    files = {"file": ("C:\\secret\\people.csv", file, "text/csv")}
    answer = await amal.post("/campaigns/lists/upload", FORM, files)
    assert answer.status_code == 200, answer.text
    assert bytes(room.broadcast.uploaded) == file
    start = room.broadcast.start
    assert (start.name, start.country, start.drill) == ("people.csv", "AE", True)
    assert "أرقام هذا الرقم أقل من اللازم" in answer.text
    assert "&lt;b&gt;mobile" in answer.text


async def test_an_upload_without_the_sessions_token_goes_nowhere(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR)
    files = {"file": ("people.csv", b"mobile\n", "text/csv")}
    answer = await amal.post("/campaigns/lists/upload", {**FORM, "csrf": "x"}, files)
    assert answer.status_code == 403
    assert not room.broadcast.uploaded
    wrong = await amal.post("/campaigns/lists/upload", {**FORM, "country": ""}, files)
    assert wrong.status_code == 422
    assert "two letters" in wrong.text
    none = await amal.post("/campaigns/lists/upload", FORM, {"other": (None, b"x")})
    assert none.status_code == 422
    assert "Choose a file" in none.text


async def test_people_are_found_by_what_is_asked(room: Console) -> None:
    amal = room.browser("amal", Role.COORDINATOR)
    asked = {"name": "Jahra", "owner": "", "agency": "water", "place": "Al  Jahra", "drill": "1"}
    answer = await amal.post("/campaigns/lists/callers", asked)
    assert answer.status_code == 303, answer.text
    [query] = room.broadcast.queries
    assert query.query.callers.place == "Al Jahra"
    assert query.drill
    page = (await amal.get(f"/campaigns/lists/new?incident={LIST}")).text
    assert f'name="incident_id" value="{LIST}"' in page
    wrong = await amal.post("/campaigns/lists/subscribers", {"name": "x", "agency": ""})
    assert wrong.status_code == 422
    assert 'id="subscribers-agency-faults"' in wrong.text
    assert 'id="callers-agency-faults"' not in wrong.text


def test_where_a_share_of_who_calls_back_is_from_is_told_in_the_readers_language() -> None:
    arabic = words.load()["ar"].gettext
    campaign = pb.Campaign()
    back = campaign.rehearsal.calls_back
    for share in returning.parse(SHARES, "calls_back.yaml").values():
        back.source = share.source
        assert views.head(campaign, lambda one: one)["back"]["source"] == share.source
        assert views.head(campaign, arabic)["back"]["source"].startswith("مفترضة")
    back.source = "our own survey of 2025"
    assert views.head(campaign, arabic)["back"]["source"] == "our own survey of 2025"
    back.source = ""
    assert views.head(campaign, arabic)["back"]["source"] == ""
