"""Writes `kafka_jars.py`: which jars make one version of Kafka, by hash. For whoever raises it.

    python -m services.local.lock_jars 4.4.0

The list is kept so that a start resolves nothing and every byte that runs has been seen before.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

# Kafka logs through slf4j and brings no binding of its own in the pom.
_LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"
_LOG_API = "org.apache.logging.log4j:log4j-api"
# Only for the command-line tools, and not published with every release.
_NOT_NEEDED = frozenset({"org.apache.kafka:kafka-tools-api"})

_HEAD = '''"""The jars of Apache Kafka {version}, by hash. Written by `lock_jars`; do not edit."""

from services.local.jar import Jar

VERSION = "{version}"

JARS = (
'''


def resolve(version: str, cache: Path) -> dict[str, Path]:
    """Coordinate → downloaded jar of everything the broker needs at run time."""
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=cache, timeout=60)

    def closure(*coordinates: str) -> dict[str, str]:
        wanted = [maven.create_dependency(coordinate) for coordinate in coordinates]
        for dependency in wanted:
            dependency.raw = True
        inputs, rest = maven.resolver.resolve(wanted)
        return {
            f"{found.groupId}:{found.artifactId}": found.version
            for found in (*inputs, *rest)
            if found.scope in {None, "compile", "runtime"} and not found.optional
        }

    broker = f"org.apache.kafka:kafka_2.13:{version}"
    log = closure(broker)[_LOG_API]
    jars = {}
    for name, jar_version in closure(broker, f"{_LOG_BINDING}:{log}").items():
        if name not in _NOT_NEEDED:
            group, artifact = name.split(":")
            component = maven.project(group, artifact).at_version(jar_version)
            jars[f"{name}:{jar_version}"] = component.artifact().resolve()
    return jars


def main(version: str) -> None:
    """Resolves `version` and writes the list beside this file."""
    with tempfile.TemporaryDirectory() as cache:
        jars = resolve(version, Path(cache))
        lines = [_HEAD.format(version=version)]
        for coordinate, file in sorted(jars.items()):
            body = file.read_bytes()
            digest = hashlib.sha256(body).hexdigest()
            lines += [
                f'    Jar(\n        "{coordinate}",\n        {len(body):_},\n'
                f'        "{digest}",\n    ),\n'
            ]
        lines.append(")\n")
    Path(__file__).with_name("kafka_jars.py").write_text("".join(lines))


if __name__ == "__main__":
    main(sys.argv[1])
