"""Reads YAML, with the fast parser where the installed library has it."""

import yaml

from services.runtime.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_of(where: str, text: str) -> object:
    """What `text` says. Raises ConfigError naming `where` when it is not YAML."""
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 (the safe loader, written in C)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML") from error
