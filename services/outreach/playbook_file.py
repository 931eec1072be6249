"""Reads one playbook of a folder, and what all of them share. Pure.

A folder holds `centre.yaml` (who writes, how people are called back, who is on call) and a file for
each playbook, called as the playbook is. A wrong playbook is left out and named, with line and
field; the others work. What all of them share must be right.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import yaml

from services.outreach import calling, doing, rule_file, scenes
from services.outreach.calling import Calling
from services.outreach.reader import Reader, composed
from services.outreach.rules import CallsBack, Rule
from services.outreach.scenes import Scene
from services.runtime.errors import ConfigError

SHARED = "centre.yaml"
"""The file of a folder that is no playbook."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the playbooks of a folder share. `centre`: who writes, by language. `on_call`: who is
    told, by the name of the list; `calls_back`: how many a message brings back that does not say so
    itself, None when nobody says."""

    centre: Mapping[str, str]
    calling: Calling
    on_call: Mapping[str, tuple[str, ...]]
    calls_back: CallsBack | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """One playbook: its rule, and the scenes that it was tried with."""

    rule: Rule
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class Playbooks:
    """A folder as it was read. `wrong`: by file, its mistakes, each with line and field."""

    shared: Shared
    playbooks: tuple[Playbook, ...]
    wrong: Mapping[str, tuple[str, ...]]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What works."""
        return tuple(playbook.rule for playbook in self.playbooks)


def shared_of(text: str, file: str) -> Shared:
    """What `centre.yaml` says. Raises ConfigError with a line for every mistake."""
    root, reader = composed(text, file), Reader(file)
    if root is None:
        raise ConfigError(f"{file}: it is empty; write `centre`")
    top = reader.fields(root, "", ("centre",), ("callbacks", "on-call", "calls-back"))
    centre = doing.words(reader, top["centre"], "centre") if "centre" in top else {}
    lists = rule_file.on_call(reader, top["on-call"], "on-call") if "on-call" in top else {}
    usual = None
    if "calls-back" in top:
        usual = doing.calls_back(reader, top["calls-back"], "calls-back")
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    return Shared(centre, calling.parse(text, file), lists, usual)


def playbook_of(text: str, file: str, shared: Shared, names: Collection[str]) -> Playbook:
    """The playbook in a file's `text`. `names`: of all playbooks of the folder. Raises ConfigError
    with a line for every mistake."""
    root, reader = composed(text, file), Reader(file)
    if root is None:
        raise ConfigError(f"{file}: it is empty; write `name`, `version`, `when` and `do`")
    around = rule_file.Around(
        shared.centre, shared.calling.zone, names, shared.on_call, shared.calls_back
    )
    rule = rule_file.rule(reader, root, "", around, ("do", "limits", "instead", "tests"))
    if rule is not None and f"{rule.name}.yaml" != file.rpartition("/")[2]:
        reader.wrong(_field(root, "name"), "name", f"must be the file's: {rule.name}.yaml")
    found: tuple[Scene, ...] = ()
    tests = _field(root, "tests")
    if tests is not root:
        found = scenes.read(reader, tests, "tests")
    if reader.problems or rule is None:
        raise ConfigError("\n".join(reader.problems))
    return Playbook(rule, found)


def folder_of(files: Mapping[str, str], unreadable: Mapping[str, str]) -> Playbooks:
    """The playbooks of a folder, by name of file. `files`: texts by name; `unreadable`: why a file
    can't be read. Raises ConfigError when what they share is wrong, or none of them is right."""
    if SHARED not in files:
        raise ConfigError(unreadable.get(SHARED, f"{SHARED}: is missing; it says who writes"))
    shared = shared_of(files[SHARED], SHARED)
    named = sorted(name for name in {*files, *unreadable} if name != SHARED)
    names = {name.removesuffix(".yaml") for name in named}
    right: list[Playbook] = []
    wrong: dict[str, tuple[str, ...]] = {}
    for name in named:
        if name in unreadable:
            wrong[name] = (unreadable[name],)
            continue
        try:
            right.append(playbook_of(files[name], name, shared, names))
        except ConfigError as error:
            wrong[name] = tuple(str(error).splitlines())
    if not right:
        problems = [problem for found in wrong.values() for problem in found]
        raise ConfigError("\n".join(["there is no playbook that could work", *problems]))
    return Playbooks(shared, tuple(right), wrong)


def _field(root: yaml.Node, name: str) -> yaml.Node:
    """The value of a field; the mapping itself where it is left out."""
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if isinstance(key, yaml.ScalarNode) and key.value == name:
                found: yaml.Node = value
                return found
    return root
