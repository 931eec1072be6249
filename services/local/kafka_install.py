"""Apache Kafka's jars in the cache: fetched once, by hash, and never half.

Everything is written into `kafka-<version>.partial` and checked there; only the complete folder is
renamed to `kafka-<version>`. An interrupted download goes on with the jars that are right, and a
lock lets one process fetch while others wait. `jgo` fetches them in pure Python; Maven is used only
where it exists and jgo fails (a mirror or a proxy that only its settings know).
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.local import disk
from services.local.child import Child
from services.local.errors import LocalPartError
from services.local.jar import Jar
from services.local.java import Java
from services.local.kafka_jars import JARS, VERSION
from services.local.lock import locked
from services.local.progress import Progress

_TRIES = 3
_AT_ONCE = 4
_TOTAL = sum(jar.size for jar in JARS)
_NAME = f"kafka-{VERSION}"
_MIB = 1024 * 1024
# Any id will do: only what does not depend on it is kept of the formatted folder.
_FORMAT_CLUSTER = "bWF3amFsb2NhbGthZmthMA"
_LOG_SETTINGS = """\
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=FILE
appender.file.type=RollingFile
appender.file.name=FILE
appender.file.fileName=${sys:mawja.log}
appender.file.filePattern=${sys:mawja.log}.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{ISO8601} %-5p %c: %m%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=20MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=2
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A complete Kafka in the cache."""

    folder: Path

    @property
    def class_path(self) -> str:
        """Java's class path: every jar by name, in one order (the start-up cache depends on it)."""
        return os.pathsep.join(str(self.folder / "jars" / jar.file_name) for jar in JARS)

    @property
    def log_settings(self) -> Path:
        """log4j's settings; the log file is the system property `mawja.log`."""
        return self.folder / "log4j2.properties"

    @property
    def formatted(self) -> Path:
        """What `format` writes into a node's data folder, without what names the node."""
        return self.folder / "formatted"

    def is_complete(self) -> bool:
        """True if every file is there in its size (hashes were checked before the rename)."""
        return (
            self.log_settings.is_file()
            and self.formatted.is_dir()
            and all(_size(self.folder / "jars" / jar.file_name) == jar.size for jar in JARS)
        )


def cache_home(env: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/mawja, else ~/.cache/mawja."""
    base = env.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mawja"


def installed(cache: Path) -> Installation | None:
    """The complete Kafka in `cache`, or None."""
    installation = Installation(cache / _NAME)
    return installation if installation.is_complete() else None


def install(cache: Path, java: Java, progress: Progress) -> Installation:
    """The Kafka in `cache`, fetched and formatted first if it is not there.

    Raises LocalPartError without network, without room, or if a jar is not what it must be.
    """
    cache = cache.absolute()
    found = installed(cache)
    if found is not None:
        return found
    try:
        disk.require_space(cache)
        with locked(
            cache / f"{_NAME}.lock",
            waiting=lambda pid: progress.say(
                f"Kafka {VERSION} is being fetched by process {pid}: waiting for it"
            ),
        ):
            return installed(cache) or _install(cache, java, progress)
    except OSError as error:
        if disk.is_full(error):
            raise _full(cache) from error
        raise LocalPartError(
            f"can't write Kafka's jars into {cache} ({error.strerror}): "
            "make it writable or set XDG_CACHE_HOME to a folder that is"
        ) from error


def _install(cache: Path, java: Java, progress: Progress) -> Installation:
    final, partial = cache / _NAME, cache / f"{_NAME}.partial"
    if final.exists() and not partial.exists():
        # Damaged from outside since: its good jars need not be fetched again.
        final.rename(partial)
    elif final.exists():
        shutil.rmtree(final)
    jars = partial / "jars"
    jars.mkdir(parents=True, exist_ok=True)
    _fetch_missing(jars, partial / "maven", progress)
    shutil.rmtree(partial / "maven", ignore_errors=True)
    (partial / "log4j2.properties").write_text(_LOG_SETTINGS)
    _format(Installation(partial), partial / "format", java)
    for file in [*jars.iterdir(), partial / "log4j2.properties"]:
        _to_disk(file)
    partial.rename(final)
    _to_disk(cache)
    return Installation(final)


def _fetch_missing(jars: Path, maven: Path, progress: Progress) -> None:
    wanted = {jar.file_name for jar in JARS}
    for file in jars.iterdir():
        if file.name not in wanted:
            file.unlink()
    missing = [jar for jar in JARS if not _is_right(jars / jar.file_name, jar)]
    if not missing:
        return
    to_fetch = sum(jar.size for jar in missing)
    progress.say(
        f"fetching Apache Kafka {VERSION} from Maven Central, once: "
        f"{len(missing)} jars, {to_fetch / _MIB:.0f} MiB into {jars.parent.parent}"
    )
    try:
        _by_jgo(missing, jars, maven, _Meter(progress, _TOTAL - to_fetch))
    except Exception as error:
        if disk.is_full(error):
            raise _full(jars) from error
        still = [jar for jar in missing if not _is_right(jars / jar.file_name, jar)]
        if not _by_maven(still, jars, maven, progress):
            raise LocalPartError(
                f"can't fetch Apache Kafka {VERSION} from Maven Central ({_reason(error)}): "
                "connect this machine to the network and start again (what was fetched is kept), "
                "or set MAWJA_KAFKA to a Kafka you have"
            ) from error
    progress.say(f"Apache Kafka {VERSION} is fetched and verified")


class _Meter:
    """Adds up what several downloads fetch. It is jgo's progress callback."""

    def __init__(self, progress: Progress, done: int) -> None:
        self._progress = progress
        self._done = done
        self._lock = threading.Lock()
        self._said_at = 0.0

    @contextlib.contextmanager
    def __call__(self, _file: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield self._add

    def _add(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._said_at >= 0.1:
                self._said_at = now
                self._progress.update(
                    f"  Kafka's jars: {self._done / _MIB:5.1f} of {_TOTAL / _MIB:.1f} MiB "
                    f"({min(100, 100 * self._done // _TOTAL)} %)"
                )


def _by_jgo(missing: list[Jar], jars: Path, maven: Path, meter: _Meter) -> None:
    from jgo.maven import MavenContext, PythonResolver

    # A ministry's network often has a certificate authority of its own. SSL_CERT_FILE is how uv and
    # Python are told of it; the library below jgo knows it by another name only.
    if certificates := os.environ.get("SSL_CERT_FILE"):
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    context = MavenContext(
        repo_cache=maven, resolver=PythonResolver(progress_callback=meter), timeout=30
    )
    stopped = threading.Event()

    def fetch(jar: Jar) -> None:
        group, artifact, version = jar.coordinate.split(":")
        wanted = context.project(group, artifact).at_version(version).artifact()
        for attempt in range(1, _TRIES + 1):
            if stopped.is_set():
                return
            # jgo takes any file of that name for a finished one, also what a killed run left.
            assert wanted.cached_path is not None
            wanted.cached_path.unlink(missing_ok=True)
            try:
                _take(wanted.resolve(), jars, jar)
                return
            except Exception as error:
                if attempt == _TRIES or disk.is_full(error):
                    raise
                stopped.wait(0.5 * attempt)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
        downloads = [pool.submit(fetch, jar) for jar in missing]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise


def _by_maven(missing: list[Jar], jars: Path, maven: Path, progress: Progress) -> bool:
    """Fetches with `mvn`. False if there is none or it fails too."""
    program = shutil.which("mvn")
    if program is None:
        return False
    progress.say("  trying again with Maven")
    maven.mkdir(parents=True, exist_ok=True)
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>"
        "</exclusions></dependency>".format(*jar.coordinate.split(":"))
        for jar in missing
    )
    pom = maven / "pom.xml"
    pom.write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>mawja</groupId>"
        "<artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    out = maven / "out"
    ended = subprocess.run(
        [
            program,
            "-B",
            "-q",
            "-f",
            pom,
            "dependency:copy-dependencies",
            f"-DoutputDirectory={out}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if ended.returncode != 0:
        return False
    try:
        for jar in missing:
            _take(out / jar.file_name, jars, jar)
    except (OSError, ValueError):
        return False
    return True


def _take(file: Path, jars: Path, jar: Jar) -> None:
    """Moves a fetched file among the jars. Raises ValueError if its bytes are not the jar's."""
    if not _is_right(file, jar):
        file.unlink(missing_ok=True)
        raise ValueError(f"{jar.file_name} arrived damaged or changed")
    file.replace(jars / jar.file_name)


def _is_right(file: Path, jar: Jar) -> bool:
    if _size(file) != jar.size:
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == jar.sha256


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _format(installation: Installation, scratch: Path, java: Java) -> None:
    """Runs Kafka's own `format` once; every later node copies what it writes."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(installation.formatted, ignore_errors=True)
    data = scratch / "data"
    data.mkdir(parents=True)
    settings = scratch / "server.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
        "controller.quorum.voters=1@127.0.0.1:9093\nlog.dirs=" + str(data.absolute()) + "\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
    )
    child = Child(
        "Kafka's format",
        [
            str(java.program),
            f"-Dlog4j2.configurationFile={installation.log_settings}",
            f"-Dmawja.log={scratch / 'format.log'}",
            "-cp",
            installation.class_path,
            "kafka.tools.StorageTool",
            *("format", "--config", str(settings), "--cluster-id", _FORMAT_CLUSTER),
        ],
        log=scratch / "output.log",
    )
    child.start()
    if not child.wait(120):
        child.stop()
    if child.exit_code != 0:
        if "No space left" in child.log_tail(50):
            raise _full(scratch)
        raise LocalPartError(
            f"Kafka's own format failed with {java.program}: {child.log_tail(1)} "
            f"(all of it in {child.log}); run `mawja doctor`"
        )
    (data / "meta.properties").unlink()
    data.rename(installation.formatted)
    shutil.rmtree(scratch)


def _to_disk(path: Path) -> None:
    """Forces a file or folder to the disk: a power cut must not leave a complete-looking half."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _full(place: Path) -> LocalPartError:
    return LocalPartError(
        f"the disk of {place} is full: free 2 GiB and start again (what was fetched is kept), "
        "or set XDG_CACHE_HOME to a folder on another disk"
    )


def _reason(error: BaseException) -> str:
    """Why, without the address that was asked."""
    if isinstance(error, ImportError):
        return "the jgo package is not installed: run `make setup`"
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "it does not answer"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "it can't be reached"
    return str(error) if isinstance(error, ValueError) else type(error).__name__
