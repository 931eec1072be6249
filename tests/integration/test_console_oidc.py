"""Signing in by OpenID Connect, at a provider on loopback, with a real Valkey between."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from mawja.audit.v1 import service_pb2 as audit

from services.console import oidc, settings
from services.local.valkey import LocalValkey
from services.runtime import store
from services.runtime.errors import Away, ConfigError, Forbidden
from services.runtime.identity import Role
from tests.console_rig import desk
from tests.oidc_provider import CLIENT, SECRET, Provider, key, provider

BACK = "http://127.0.0.1:7090/sign-in/provider/back"
ROLES = """
subject: preferred_username
claim: groups
roles:
  coordinators: [coordinator]
  approvers: [approver]
  municipality: [liaison]
  police: [liaison]
agencies:
  municipality: MUNICIPALITY
  police: POLICE
"""


@pytest_asyncio.fixture
async def there() -> AsyncIterator[Provider]:
    """The provider."""
    async with provider() as serving:
        yield serving


@pytest_asyncio.fixture
async def here(
    valkey: LocalValkey, there: Provider, tmp_path: Path
) -> AsyncIterator[oidc.Provider]:
    """The console's side of it."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "roles.yaml").write_text(ROLES)
    said = settings.Oidc(there.url, CLIENT, tmp_path / "secret", tmp_path / "roles.yaml")
    client = store.connect(valkey.url)
    made = oidc.Provider(said, oidc.Coming(client))
    yield made
    await made.close()
    await client.aclose()


async def came(here: oidc.Provider, there: Provider) -> Any:
    """Somebody goes there and comes back."""
    way, binding = await here.way(BACK, "/cases")
    state, code = there.approve(way)
    return await here.arrived(state, code, binding)


async def test_somebody_comes_in(here: oidc.Provider, there: Provider) -> None:
    user, where = await came(here, there)
    assert where == "/cases"
    assert user.sub == "oidc:fatima"
    assert user.name == "فاطمة الكواري"
    assert user.roles == {Role.COORDINATOR}
    await came(here, there)
    # Places and keys are fetched once.
    assert there.asked == ["places", "keys"]


@pytest.mark.parametrize(
    ("groups", "roles", "agency"),
    [
        (["coordinators", "approvers"], {"coordinator", "approver"}, ""),
        ("approvers", {"approver"}, ""),
        (["municipality"], {"liaison"}, "MUNICIPALITY"),
        # A liaison is nothing else.
        (["municipality", "approvers"], {"liaison"}, "MUNICIPALITY"),
    ],
)
async def test_claims_give_roles(
    here: oidc.Provider, there: Provider, groups: Any, roles: set[str], agency: str
) -> None:
    there.claims = {"groups": groups}
    user, _ = await came(here, there)
    assert (user.roles, user.agency) == (roles, agency)


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": []},
        {"groups": None},
        {"groups": ["chess"]},
        {"groups": ["municipality", "police"]},
        {"groups": ["municipality", "police", "approvers"]},
        {"groups": {"coordinators": True}},
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": [CLIENT, "another"]},
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"sub": None},
        {"preferred_username": None},
        {"preferred_username": "a b"},
        {"preferred_username": "x" * 200},
        {"at_hash": "another"},
    ],
)
async def test_what_does_not_hold_is_not_let_in(
    here: oidc.Provider, there: Provider, claims: dict[str, Any]
) -> None:
    there.claims = claims
    with pytest.raises(Forbidden):
        await came(here, there)


async def test_another_key_is_not_believed(here: oidc.Provider, there: Provider) -> None:
    there.shown, there.signs = [there.signs], key(there.signs.kid or "")
    with pytest.raises(Forbidden):
        await came(here, there)


async def test_a_public_key_is_no_shared_secret(here: oidc.Provider, there: Provider) -> None:
    there.algorithm = "HS256"
    with pytest.raises(Forbidden):
        await came(here, there)


async def test_a_new_key_is_fetched(
    here: oidc.Provider, there: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await came(here, there)
    there.signs = key("two")
    monkeypatch.setattr(oidc, "_AGAIN_S", 0.0)
    await came(here, there)
    assert there.asked.count("keys") == 2


async def test_a_way_in_is_used_once_by_its_own_browser(
    here: oidc.Provider, there: Provider
) -> None:
    way, binding = await here.way(BACK, "")
    state, code = there.approve(way)
    with pytest.raises(Forbidden, match="another browser"):
        await here.arrived(state, code, "another")
    with pytest.raises(Forbidden, match="was used"):
        await here.arrived(state, code, binding)
    for state_said, code_said in (("", code), ("x", code), (state, "")):
        with pytest.raises(Forbidden):
            await here.arrived(state_said, code_said, binding)


async def test_a_code_of_another_is_not_taken(here: oidc.Provider, there: Provider) -> None:
    _, stolen = there.approve((await here.way(BACK, ""))[0])
    way, binding = await here.way(BACK, "")
    state, _ = there.approve(way)
    with pytest.raises(Forbidden, match="does not take the code"):
        await here.arrived(state, stolen, binding)


async def test_a_provider_of_another_name_is_not_asked(
    here: oidc.Provider, there: Provider
) -> None:
    there.issuer = "https://id.example"
    with pytest.raises(Away, match="calls itself otherwise"):
        await here.way(BACK, "")


@pytest.mark.parametrize(
    "text", ["", "claim: groups", "claim: g\nroles: {a: [king]}", "claim: g\nroles: {a: [gateway]}"]
)
def test_a_wrong_file_of_roles_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "roles.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"roles\.yaml"):
        oidc.mapped(path)


async def test_the_whole_way_by_pages(here: oidc.Provider, there: Provider, tmp_path: Path) -> None:
    async with desk(tmp_path, provider=here) as on:
        page = await on.get("/sign-in?next=/people")
        assert "/sign-in/provider?next=/people" in page.text
        sent = await on.get("/sign-in/provider?next=/people")
        assert sent.status_code == 303
        way = sent.headers["location"]
        assert parse_qs(urlsplit(way).query)["redirect_uri"] == [
            "http://127.0.0.1/sign-in/provider/back"
        ]
        cookie = sent.headers["set-cookie"].partition(";")[0]
        state, code = there.approve(way)
        on.client.cookies.clear()
        back = f"/sign-in/provider/back?state={state}&code={code}"
        stranger = await on.client.get(back.replace(state, "x"), headers={"cookie": cookie})
        assert stranger.status_code == 403
        on.client.cookies.clear()
        arrived = await on.client.get(back, headers={"cookie": cookie})
        assert (arrived.status_code, arrived.headers["location"]) == (303, "/people")
        session = next(iter(on.sessions.held.values()))
        assert (session.sub, session.way) == ("oidc:fatima", "oidc")
        again = await on.client.get(back, headers={"cookie": cookie})
        assert len(on.sessions.held) == 1
        assert again.status_code in {303, 403}


async def test_whom_the_provider_knows_without_a_role_is_told_once(
    here: oidc.Provider, there: Provider, tmp_path: Path
) -> None:
    there.claims = {"groups": ["chess"], "preferred_username": "ali"}
    async with desk(tmp_path, provider=here) as on:
        for _ in range(3):
            sent = await on.get("/sign-in/provider")
            cookie = sent.headers["set-cookie"].partition(";")[0]
            state, code = there.approve(sent.headers["location"])
            on.client.cookies.clear()
            back = f"/sign-in/provider/back?state={state}&code={code}"
            arrived = await on.client.get(back, headers={"cookie": cookie})
            assert arrived.status_code == 403
        # Who made up a way in is nobody whom the provider knows.
        await on.client.get("/sign-in/provider/back?state=x&code=y")
        [told] = on.audit.told
    assert (told.event, told.user) == (audit.SESSION_EVENT_NO_ROLE, "oidc:ali")
