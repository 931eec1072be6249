"""The repository keeps its own rules: locked by hash, no addresses, nothing outside a contract."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKS = ("requirements.txt", "requirements-dev.txt")

# Put together here, so that this file does not itself hold what it looks for.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("debian", "org"),
    )
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def wanted() -> dict[str, set[str]]:
    """The direct dependencies as each lock must hold them."""
    project = PROJECT["project"]
    extras = [name for group in project["optional-dependencies"].values() for name in group]
    direct = project["dependencies"]
    return {
        "requirements.txt": set(direct),
        "requirements-dev.txt": {*direct, *extras, *PROJECT["dependency-groups"]["dev"]},
    }


def locked(name: str) -> dict[str, str]:
    """Requirement → its hashes, of one lock file."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {re.split(r"\s", entry, maxsplit=1)[0].lower(): entry for entry in entries}


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_exact_and_hashed(name: str) -> None:
    held = locked(name)
    assert held
    for requirement, entry in held.items():
        assert re.fullmatch(r"[a-z0-9._-]+==[^\s;]+", requirement)
        assert "--hash=sha256:" in entry, f"{requirement} has no hash"
    assert not re.search(r"^\s*--(?!hash)", (ROOT / name).read_text("utf-8"), re.M)


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_is_that_of_the_project(name: str) -> None:
    missing = {entry.lower() for entry in wanted()[name]} - locked(name).keys()
    assert not missing, f"run `make requirements`: {missing}"


def test_every_npm_package_is_exact_and_hashed() -> None:
    folder = ROOT / "tests" / "peers"
    direct = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    held = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert held.pop("")["dependencies"] == direct, "run `npm install --package-lock-only` there"
    for name, version in direct.items():
        assert held[f"node_modules/{name}"]["version"] == version, f"{name} is not exact"
    for name, entry in held.items():
        assert entry["integrity"].startswith("sha512-"), f"{name} has no hash"
        assert "resolved" not in entry, f"{name} has an address"


def imported(path: Path) -> set[str]:
    """Outermost packages that a module imports, anywhere in it, the project's own left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"services", "loadtests", "mawja", "buf"}


def test_the_image_has_what_the_services_import() -> None:
    held = {re.sub(r"[-_.]+", "-", entry.partition("==")[0]) for entry in locked(LOCKS[0])}
    distributions = packages_distributions()
    for path in (ROOT / "services").rglob("*.py"):
        if path.relative_to(ROOT).parts[1] in {"local", "tools"}:
            continue
        for package in imported(path):
            names = {re.sub(r"[-_.]+", "-", name).lower() for name in distributions[package]}
            assert names & held, f"{path.relative_to(ROOT)} imports {package}"


def test_no_file_names_a_registry() -> None:
    pattern = re.compile("|".join(map(re.escape, REGISTRIES)))
    guilty = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if pattern.search(path.read_bytes().decode("utf-8", "ignore"))
    ]
    assert not guilty


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^\.PHONY: (\S+)$", text, re.M))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, re.M))
    assert targets == explained
    assert {"surge", "test", "test-peers", "check", "bench", "up", "down", "help"} <= targets


def test_ci_uses_only_targets_that_exist() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    asked = " ".join(re.findall(r"^\s*make (.+)$", script, re.M)).split()
    used = {word for word in asked if not word.startswith("--")}
    assert used >= {"check", "test", "test-peers", "test-browser"}
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in used)


def test_every_folder_of_code_is_a_package() -> None:
    # The import linter does not look into a folder without one.
    folders = {
        path.parent for top in ("services", "loadtests") for path in (ROOT / top).rglob("*.py")
    }
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_every_package_has_its_layer() -> None:
    packages = {
        f"services.{path.parent.name}" for path in (ROOT / "services").glob("*/__init__.py")
    }
    (layers,) = (
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    named = {name.strip("() ") for layer in layers for name in layer.split("|")}
    assert packages
    assert packages <= named, "add it to the layers in pyproject.toml"


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("services/broadcast/planted.py", "import services.local.ports", "Rooms stand on runtime"),
        ("services/broadcast/planted.py", "import aiokafka", "Rooms reach Kafka"),
        ("services/broadcast/segments.py", "import time", "Pure modules"),
        ("services/runtime/planted.py", "import services.broadcast.segments", "Rooms stand"),
        ("loadtests/planted.py", "import services.broadcast.segments", "Who judges"),
    ],
)
def test_a_forbidden_import_is_refused(
    tmp_path: Path, module: str, line: str, contract: str
) -> None:
    for name in ("services", "loadtests"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{line}\n")
    refused = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert re.search(rf"^{contract}.* BROKEN\b", refused.stdout, re.M), refused.stdout


def protos_of_a_release(folder: Path) -> Path:
    """A copy of the protos that was just released, to be damaged."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "protos", folder / "protos", ignore=hidden)
    shutil.copy(ROOT / "buf.yaml", folder)
    assert protos(folder, "--release").returncode == 0
    assert protos(folder, "--check").returncode == 0
    return folder


def protos(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "protos" / "generate.py"), *options],
        check=False,
        capture_output=True,
        text=True,
    )


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "protos" / "mawja" / "intake" / "v1" / "service.proto"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def test_a_changed_proto_without_generation_is_refused(tmp_path: Path) -> None:
    copy = protos_of_a_release(tmp_path)
    rewrite(copy, "rpc GetContact(", "rpc ShowContact(")
    refused = protos(copy, "--check")
    assert refused.returncode == 1
    assert "make protos" in refused.stderr


def test_an_incompatible_proto_is_refused(tmp_path: Path) -> None:
    copy = protos_of_a_release(tmp_path)
    rewrite(copy, "string idempotency_key = 2 ", "string idempotency_key = 102 ")
    assert protos(copy).returncode == 0
    refused = protos(copy, "--check")
    assert refused.returncode == 1
    assert "idempotency_key" in refused.stdout


def test_an_unexplained_field_is_refused(tmp_path: Path) -> None:
    copy = protos_of_a_release(tmp_path)
    rewrite(copy, "  // What it is, if the source knows.\n", "")
    assert protos(copy).returncode == 0
    refused = protos(copy, "--check")
    assert refused.returncode == 1
    assert "comment" in refused.stdout


def test_tests_of_a_marker_stand_where_make_looks() -> None:
    """`make` goes through these folders only: a test that stands elsewhere would not be run."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for marker in ("alone", "browser", "peers"):
        given = re.search(rf"^{marker.upper()} := (.+)$", makefile, re.M)
        assert given
        places = [ROOT / place for place in given[1].split()]
        mark = re.compile(rf"^(?!\s*#).*pytest\.mark\.{marker}\b", re.M)
        marked = [
            path for path in (ROOT / "tests").rglob("test_*.py") if mark.search(path.read_text())
        ]
        assert marked, f"nothing is marked {marker}"
        outside = [one for one in marked if not any(one.is_relative_to(place) for place in places)]
        assert not outside, f"marked {marker}, where `make` does not look: {outside}"
