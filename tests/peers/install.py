"""Brings the programs that the peers tests run against into Mawja's cache, once.

`python -m tests.peers.install`, which `make test-peers` begins with. node-smpp comes by npm, by the
hashes of the lock file beside this. Kannel is unpacked from Debian's packages and those that it
needs beside what the machine has: with lists of packages of its own, so that it takes no root,
starts no service and leaves the machine's own packages as they are. A Kannel that is installed is
used as it is.

A folder is complete when it has its last name: an interrupted run leaves nothing that counts.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.local.kafka_install import cache_home
from services.local.lock import locked

HERE = Path(__file__).parent
_LOCKED = ("package.json", "package-lock.json")
_WITHIN_S = 240


class NotThere(Exception):
    """A program can't be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Kannel:
    """Where Kannel's boxes are, and what their environment needs beyond the usual."""

    bearerbox: Path
    smsbox: Path
    env: Mapping[str, str] = field(default_factory=dict)


def node_smpp() -> Path:
    """The folder `node_modules` that holds node-smpp. Raises NotThere."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotThere("node-smpp needs Node.js and npm; on Debian: apt-get install nodejs npm")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in _LOCKED))
    return once(f"node-{digest.hexdigest()[:16]}", _install_node) / "node_modules"


def kannel() -> Kannel:
    """Kannel's programs. Raises NotThere."""
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    installed = [shutil.which(name, path=beside) for name in ("bearerbox", "smsbox")]
    if installed[0] and installed[1]:
        return Kannel(Path(installed[0]), Path(installed[1]))
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NotThere(f"there is no Kannel and no {tool} to fetch it with: install Kannel")
    return _unpacked(once("kannel", _unpack_kannel))


def _unpacked(root: Path) -> Kannel:
    libraries = sorted({str(path.parent) for path in root.glob("**/lib/**/*.so.*")})
    held = [*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return Kannel(
        root / "usr/sbin/bearerbox",
        root / "usr/sbin/smsbox",
        {"LD_LIBRARY_PATH": os.pathsep.join(held)},
    )


def once(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, which `fill` has filled. Raises NotThere."""
    home = cache_home() / "peers"
    home.mkdir(parents=True, exist_ok=True)
    whole, partial = home / name, home / f"{name}.partial"
    with locked(home / f"{name}.lock", waiting=_say_waiting):
        if not whole.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(whole)
    return whole


def _say_waiting(holder: str) -> None:
    print(f"waiting for process {holder}, which fetches it", file=sys.stderr)


def _install_node(folder: Path) -> None:
    for name in _LOCKED:
        shutil.copy(HERE / name, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def _unpack_kannel(folder: Path) -> None:
    apt = folder / "apt"
    for name in ("lists", "archives"):
        (apt / name / "partial").mkdir(parents=True)
    options = (
        *("-o", f"Dir::State::Lists={apt / 'lists'}"),
        *("-o", f"Dir::Cache={apt}", "-o", f"Dir::Cache::Archives={apt / 'archives'}"),
        *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"),
        *("-o", "APT::Update::Error-Mode=any"),
    )
    run("apt-get", "update", *options)
    planned = run("apt-get", "install", *options, "-s", "--no-install-recommends", "kannel")
    names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
    debs = apt / "debs"
    debs.mkdir()
    run("apt-get", "download", *options, *names, cwd=debs)
    for deb in debs.glob("*.deb"):
        run("dpkg", "-x", str(deb), str(folder))
    shutil.rmtree(apt)
    # What it needs must be there before the folder counts.
    found = _unpacked(folder)
    for program in (found.bearerbox, found.smsbox):
        run(str(program), "--version", env=found.env)


def run(
    *command: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    within_s: float = _WITHIN_S,
) -> str:
    """What `command` says. Raises NotThere when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            check=True,
            text=True,
            timeout=within_s,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise NotThere(f"`{command[0]}` took more than {within_s} s: try again") from None
    except subprocess.CalledProcessError as error:
        said = "\n".join((error.stdout + error.stderr).splitlines()[-8:])
        raise NotThere(f"`{' '.join(command[:2])} …` failed; try again. It said:\n{said}") from None
    return done.stdout


def main() -> int:
    """Fetches all of it and says where it is; 1 when something can't be had."""
    try:
        print(f"node-smpp: {node_smpp() / 'smpp'}")
        print(f"Kannel: {kannel().bearerbox}")
    except NotThere as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
