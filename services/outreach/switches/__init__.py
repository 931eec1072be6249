"""Playbooks that people switch off and on while the centre runs."""
