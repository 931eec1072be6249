"""Writes what a campaign did to calls into the file of shares that rehearsals reckon with. Pure.

A person looks at the file before `broadcast` gets it: whether a campaign was like those to come no
program knows. So what people wrote there stays as it is, and each campaign is one line.
"""

from datetime import UTC, datetime

import yaml

from services.broadcast.campaigns.returning import KINDS
from services.runtime.errors import ConfigError, NotInState
from services.tools.effects.measuring import Measuring


def line(found: Measuring, within: str, now_ms: int) -> str:
    """What is kept of a campaign, as of `now_ms` (Unix ms). Raises NotInState where it says nothing
    of others, or nothing yet."""
    plan, effect = found.campaign.plan, found.effect()
    if plan.drill:
        raise NotInState("it was a rehearsal: nobody calls because of one, nothing is kept")
    if not effect.known:
        raise NotInState("nobody can be compared: nothing is kept of it")
    over_ms = found.started_ms + found.within_ms
    if now_ms < over_ms:
        over = datetime.fromtimestamp(over_ms / 1000, UTC)
        raise NotInState(f"its {within} are over at {over:%Y-%m-%d %H:%M} UTC: nothing is kept yet")
    kind = next(name for name, one in KINDS.items() if one == plan.kind)
    began = datetime.fromtimestamp(found.started_ms / 1000, UTC)
    sent, held = effect.sent, effect.held
    return (
        f'  - {{campaign: {found.campaign_id}, kind: {kind}, agency: "{plan.agency}", '
        f"began: {began:%Y-%m-%d}, within: {within}, sent: {sent.people}, "
        f"called: {sent.callers}, held: {held.people}, held_called: {held.callers}}}"
    )


def kept(text: str, file: str, campaign_id: str, line: str) -> str:
    """The file's `text` with the line of a campaign, which takes the place of an earlier one of the
    same. Raises ConfigError where the file is not written so that it could."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise ConfigError(f"{file}: is not YAML") from None
    lines = text.rstrip("\n").split("\n")
    measured = _measured(root)
    if measured is None:
        return "\n".join([*lines, "measured:", line, ""])
    if not isinstance(measured, yaml.SequenceNode) or measured.flow_style or not measured.value:
        raise ConfigError(f"{file}: measured: must be a list, each campaign in a line of its own")
    last = measured.value[-1].end_mark.line
    for one in measured.value:
        if campaign_id in lines[one.start_mark.line]:
            if one.end_mark.line != one.start_mark.line:
                raise ConfigError(f"{file}: measured: what is known of it must be one line")
            lines[one.start_mark.line] = line
            return "\n".join([*lines, ""])
    lines.insert(last + 1, line)
    return "\n".join([*lines, ""])


def _measured(root: yaml.Node | None) -> yaml.Node | None:
    if not isinstance(root, yaml.MappingNode):
        return None
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode) and key.value == "measured":
            found: yaml.Node = value
            return found
    return None
