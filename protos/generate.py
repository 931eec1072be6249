"""Generates `protos/gen` from `protos/mawja`, and holds both to the rules.

`validate.proto`, which the field rules import, is in no Python package as a file. It is here
only as a descriptor inside protovalidate, so that descriptor is given to protoc as an already
parsed file (`--descriptor_set_in`), and `buf.validate.validate_pb2` is generated from it too.
buf reads the image that protoc made rather than the sources, and so needs no network either.

    python protos/generate.py             write protos/gen
    python protos/generate.py --check     compare protos/gen, format, lint, compatibility
    python protos/generate.py --release   keep the image that later releases must not break
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from protovalidate._gen.buf.validate import validate_pb

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SOURCES = HERE / "mawja"
GENERATED = HERE / "gen"
RELEASED = HERE / "released.binpb"
RULES = "buf/validate/validate.proto"
BIN = Path(sysconfig.get_path("scripts"))


class Refused(Exception):
    """A tool refused the protos, or they break a rule; the message says which and what to do."""


def run(*command: str | Path) -> None:
    """Run a tool from the project's root; its own output is the explanation when it fails."""
    if subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode:
        raise Refused(f"{Path(str(command[0])).name} refused the protos, as it says above")


def sources() -> list[str]:
    """The project's protos, relative to `protos/`, in a stable order."""
    found = sorted(str(path.relative_to(HERE)) for path in SOURCES.rglob("*.proto"))
    if not found:
        raise Refused(f"there is no .proto under {SOURCES}")
    return found


def rules_descriptor() -> descriptor_pb2.FileDescriptorSet:
    """`validate.proto` and what it imports, as protovalidate itself holds them."""
    held = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        module.DESCRIPTOR.CopyToProto(held.file.add())
    held.file.add().ParseFromString(validate_pb.desc().proto.to_binary())
    return held


def protoc(work: Path, *arguments: str | Path) -> None:
    """Run protoc with the project's protos, the rules and the well-known types in reach."""
    rules = work / "rules.binpb"
    if not rules.exists():
        rules.write_bytes(rules_descriptor().SerializeToString(deterministic=True))
    run(
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--descriptor_set_in={rules}",
        f"--proto_path={HERE}",
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        *arguments,
    )


def build_image(work: Path) -> Path:
    """All protos with their comments and imports as one descriptor set; returns its path."""
    image = work / "image.binpb"
    protoc(
        work,
        f"--descriptor_set_out={image}",
        "--include_imports",
        "--include_source_info",
        *sources(),
    )
    return image


def generate(work: Path, image: Path) -> Path:
    """Generate the Python modules and their types into a new folder; returns it."""
    out = work / "gen"
    out.mkdir()
    protoc(work, f"--python_out={out}", f"--mypy_out=quiet:{out}", *sources(), RULES)
    held = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    serving = [file.name for file in held.file if file.service]
    if serving:
        protoc(work, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *serving)
    return out


def files_below(folder: Path) -> set[str]:
    """Files of a generated tree, relative to it, without the interpreter's caches."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def differing(fresh: Path, committed: Path) -> list[str]:
    """Generated files that are missing, stale, or left over in the committed tree."""
    new, old = files_below(fresh), files_below(committed)
    changed = {
        name for name in new & old if not filecmp.cmp(fresh / name, committed / name, shallow=False)
    }
    return sorted((new ^ old) | changed)


def check(work: Path) -> None:
    """Refuse stale generated code, an ill-formed or unexplained proto, or an incompatible one."""
    image = build_image(work)
    stale = differing(generate(work, image), GENERATED)
    if stale:
        raise Refused(f"protos/gen is not what the protos say; run `make protos`: {stale}")
    buf = BIN / "buf"
    run(buf, "format", "--diff", "--exit-code")
    run(buf, "lint", image, "--config", ROOT / "buf.yaml")
    if not RELEASED.exists():
        raise Refused("protos/released.binpb is missing; at a release run `make release-image`")
    run(buf, "breaking", image, "--against", RELEASED, "--config", ROOT / "buf.yaml")


def release(image: Path) -> None:
    """Keep the released protos: with imports, so they stand alone, and without comments."""
    held = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    for file in held.file:
        file.ClearField("source_code_info")
    RELEASED.write_bytes(held.SerializeToString(deterministic=True))


def write(fresh: Path) -> None:
    """Bring `protos/gen` up to date, touching only what changed."""
    for name in differing(fresh, GENERATED):
        source, target = fresh / name, GENERATED / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            target.unlink()
        print(f"{'wrote' if source.exists() else 'removed'} protos/gen/{name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate protos/gen from protos/mawja.")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--check", action="store_true", help="compare, lint and check; no writing")
    wanted.add_argument("--release", action="store_true", help="keep the image of this release")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        try:
            if options.check:
                check(work)
            elif options.release:
                release(build_image(work))
            else:
                write(generate(work, build_image(work)))
        except Refused as refused:
            print(f"protos: {refused}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
