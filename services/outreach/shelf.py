"""Reads playbooks from where they stand: the shipped folder, another folder, or one file of rules.

A file that cannot be read is one more wrong playbook: whatever is wrong with one stops no other.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from services.outreach import calling, playbook_file, rule_file
from services.outreach.playbook_file import Playbook, Playbooks, Shared
from services.runtime.errors import ConfigError

_LARGEST = 1_000_000


def read(path: Path | None) -> Playbooks:
    """The playbooks at `path`, a folder or a file of rules; the shipped ones without. Raises
    ConfigError when nothing there could work."""
    if path is None:
        return _folder(resources.files("services.outreach") / "playbooks", "the shipped playbooks")
    if path.is_dir():
        return _folder(path, f"MAWJA_RULES: {path}")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_RULES: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    rules = rule_file.parse(text, str(path))
    shared = Shared({}, calling.parse(text, str(path)), {})
    return Playbooks(shared, tuple(Playbook(rule, ()) for rule in rules), {})


def _folder(place: Traversable | Path, called: str) -> Playbooks:
    files: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    try:
        found = [one for one in place.iterdir() if one.name.endswith(".yaml")]
    except OSError as error:
        raise ConfigError(f"{called} cannot be read ({type(error).__name__})") from None
    for one in found:
        try:
            text = one.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            unreadable[one.name] = (
                f"{one.name}: cannot be read as UTF-8 text ({type(error).__name__})"
            )
            continue
        if len(text) > _LARGEST:
            unreadable[one.name] = f"{one.name}: is too large; at most {_LARGEST:,} characters"
        else:
            files[one.name] = text
    return playbook_file.folder_of(files, unreadable)
