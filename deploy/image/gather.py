"""Gathers what the image needs and nothing else, in the stage that built it: Python, its library,
the shared libraries that these and the packages load, certificates, and the packages themselves.
What is not copied is not there: no shell, no package manager, no pip, no compiler.

    python3 gather.py /opt/mawja /image

Writes /image/opt/mawja/sbom.cdx.json too (CycloneDX 1.6): every Python package by its version, and
where the base is Debian's every Debian package of which a file was copied. Needs the standard
library alone, and `ldd` of the base.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

# Of the standard library: what builds, tests or draws.
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "distutils", "venv"}
UNUSED |= {"pydoc_data", "unittest/test", "site-packages", "dist-packages", "__pycache__"}
# Of packages: tests, which nothing loads; data of telephone numbers that nothing asks for; and of
# Babel's 1,100 locales all but those of the languages that people are served in.
TESTS = ("__pycache__", "tests", "activate*", "Activate*", "*.pyi")
UNASKED = {"phonenumbers": {"geodata", "carrierdata"}}
LANGUAGES = {"ar", "bn", "en", "fa", "fil", "fr", "hi", "ml", "ne", "root", "si", "ta", "ur"}
FILES = (
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
)
# Loaded by name, so that no file says that it needs them.
BY_NAME = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")


def libraries(file: Path) -> set[Path]:
    """The shared libraries that `file` loads, as the loader finds them here."""
    told = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False).stdout
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", told)}


def is_elf(path: Path) -> bool:
    """Whether it is a program or a shared library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(home: Path) -> set[Path]:
    """The files outside of `home`, the packages' folder, that what is in it needs."""
    library = Path(sysconfig.get_path("stdlib"))
    found = {Path(sys.executable), *(Path(name) for name in FILES if Path(name).exists())}
    for path in library.rglob("*"):
        inner = path.relative_to(library)
        unused = UNUSED & {*inner.parts, "/".join(inner.parts[:2])}
        if path.is_file() and not unused and not inner.parts[0].startswith("config-"):
            found.add(path)
    binaries = {path for path in found if is_elf(path)}
    binaries |= {path for path in home.rglob("*.so*") if path.is_file() and is_elf(path)}
    loaded: set[Path] = set()
    for binary in sorted(binaries):
        loaded |= libraries(binary)
    beside = {path.parent for path in loaded}
    loaded |= {folder / name for folder in beside for name in BY_NAME if (folder / name).exists()}
    return found | {path for path in loaded if home not in path.parents}


def copy(path: Path, image: Path) -> None:
    """Copies a file to where it is, with the links that lead to it."""
    for step in [*reversed(path.parents), path][1:]:
        here = step.parent.resolve() / step.name
        there = image / here.relative_to("/")
        if here.is_symlink():
            there.parent.mkdir(parents=True, exist_ok=True)
            if not there.is_symlink():
                there.symlink_to(here.readlink())
                copy(Path(os.path.normpath(here.parent / here.readlink())), image)
        elif here.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        elif not there.exists():
            shutil.copy2(here, there)


def left_out(folder: str, names: list[str]) -> set[str]:
    """Of the entries of a folder of packages those that are not copied."""
    found = shutil.ignore_patterns(*TESTS)(folder, names) | (
        UNASKED.get(Path(folder).name, set()) & set(names)
    )
    if folder.endswith("babel/locale-data"):
        found |= {name for name in names if name.split(".")[0].split("_")[0] not in LANGUAGES}
    return found


def debian(files: set[Path]) -> list[dict[str, str]]:
    """The Debian packages that `files` come from; none where the base is not Debian's."""
    if shutil.which("dpkg-query") is None:
        return []
    # dpkg knows some by the path with /usr and some by the one without.
    paths = {str(p) for f in files for p in (f, f.resolve())}
    paths |= {p.removeprefix("/usr") for p in paths if p.startswith("/usr/")}
    told = subprocess.run(
        ["dpkg-query", "-S", *sorted(paths)], capture_output=True, text=True, check=False
    ).stdout
    names = {line.split(":")[0] for line in told.splitlines() if ": /" in line}
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}\t${Version}\n", *sorted(names)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = sorted(line.split("\t") for line in listed.splitlines())
    return [_part(name, version, f"pkg:deb/debian/{name}@{version}") for name, version in rows]


def python_packages(home: Path) -> list[dict[str, str]]:
    """Every package that is installed in `home`."""
    folders = [str(path) for path in home.glob("lib/python3.*/site-packages")]
    held = {
        (one.metadata["Name"].lower(), one.version) for one in metadata.distributions(path=folders)
    }
    return [_part(name, version, f"pkg:pypi/{name}@{version}") for name, version in sorted(held)]


def _part(name: str, version: str, purl: str) -> dict[str, str]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill(home: Path, files: set[Path]) -> dict[str, object]:
    """What is in the image, as CycloneDX 1.6."""
    version = platform.python_version()
    python = _part("python", version, f"pkg:generic/python@{version}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "mawja", "bom-ref": "mawja"}},
        "components": [python, *debian(files), *python_packages(home)],
    }


def main(home: Path, image: Path) -> None:
    """Fills `image`, the root of the image's file system."""
    files = needed(home)
    for path in sorted(files):
        copy(path, image)
    shutil.copytree(home, image / home.relative_to("/"), symlinks=True, ignore=left_out)
    (image / home.relative_to("/") / "sbom.cdx.json").write_text(json.dumps(bill(home, files)))
    (image / "etc").mkdir(exist_ok=True)
    (image / "etc/passwd").write_text("mawja:x:10001:10001::/tmp:/nonexistent\n")
    (image / "etc/group").write_text("mawja:x:10001:\n")
    (image / "tmp").mkdir(mode=0o1777)
    (image / "tmp").chmod(0o1777)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
