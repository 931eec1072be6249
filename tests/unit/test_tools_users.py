"""`mawja users`: the file says what was asked, secrets are shown once, what is wrong is told."""

import shutil
from pathlib import Path

import pyotp
import pytest
from typer.testing import CliRunner

from services.console import users
from services.console.signing import HASHER
from services.runtime.identity import Role
from services.tools.users import app

PASSWORD = "correct horse battery"


def run(path: Path, *words: str, said: str = "", code: int = 0) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, [*words, "--file", str(path)], input=said)
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with omar in it, who has a password and an authenticator."""
    path = tmp_path_factory.mktemp("users") / "users.yaml"
    run(path, "add", "omar", "--role", "agent", said=PASSWORD + "\n")
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(made, tmp_path))


def test_somebody_is_added_with_an_authenticator(path: Path) -> None:
    user = users.read(path)["omar"]
    assert user.roles == {Role.AGENT}
    assert HASHER.verify(user.password, PASSWORD)
    assert len(user.totp) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()


def test_a_liaison_with_a_password_that_is_made(path: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "f.svg"
    words = ("add", "fatima", "--role", "liaison", "--agency", "municipality", "--generate")
    printed = run(path, *words, "--full-name", "فاطمة", "--svg", str(drawn))
    user = users.read(path)["fatima"]
    assert (user.name, user.agency) == ("فاطمة", "municipality")
    (line,) = [line for line in printed.splitlines() if line.startswith("password: ")]
    assert HASHER.verify(user.password, line.split()[1])
    assert user.totp in printed
    assert "<svg" in drawn.read_text()
    assert drawn.stat().st_mode & 0o777 == 0o600


def test_another_password_and_another_authenticator(path: Path) -> None:
    before = users.read(path)["omar"]
    run(path, "passwd", "omar", said="another long password\n")
    printed = run(path, "totp", "omar")
    after = users.read(path)["omar"]
    assert HASHER.verify(after.password, "another long password")
    assert after.totp != before.totp
    assert after.totp in printed
    assert pyotp.TOTP(after.totp).at(0) != pyotp.TOTP(before.totp).at(0)


def test_disabled_and_enabled(path: Path) -> None:
    run(path, "disable", "omar")
    assert users.read(path)["omar"].disabled
    listed = run(path, "list")
    assert "disabled" in listed
    assert users.read(path)["omar"].totp not in listed
    run(path, "enable", "omar")
    assert not users.read(path)["omar"].disabled


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "omar", "--role", "agent", "--generate"), ""),
        (("add", "Omar B", "--role", "agent", "--generate"), ""),
        (("add", "aisha", "--role", "gateway", "--generate"), ""),
        (("add", "aisha", "--role", "liaison", "--generate"), ""),
        (("add", "aisha", "--role", "agent"), "short\n"),
        (("passwd", "aisha"), PASSWORD + "\n"),
        (("passwd", "omar"), "short\n"),
        (("totp", "aisha"), ""),
        (("disable", "aisha"), ""),
    ],
)
def test_what_is_wrong_changes_nothing(path: Path, words: tuple[str, ...], said: str) -> None:
    before = path.read_text()
    run(path, *words, said=said, code=1)
    assert path.read_text() == before
