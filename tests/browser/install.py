"""Brings axe-core, by the lock file of the console's front, into Mawja's cache, once."""

import hashlib
import shutil
from pathlib import Path

from tests.peers.install import NotThere, once, run

FRONT = Path(__file__).parents[2] / "services/console/front"
_LOCKED = ("package.json", "package-lock.json", ".npmrc")


def axe() -> str:
    """The source of axe-core. Raises NotThere."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotThere("axe needs Node.js and npm; on Debian: apt-get install nodejs npm")
    digest = hashlib.sha256(b"".join((FRONT / name).read_bytes() for name in _LOCKED))
    home = once(f"front-{digest.hexdigest()[:16]}", _fill)
    return (home / "node_modules/axe-core/axe.min.js").read_text()


def _fill(folder: Path) -> None:
    for name in _LOCKED:
        shutil.copy(FRONT / name, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
