"""The `mawja` command: surges, the local system, keys and tokens. It keeps nothing."""
