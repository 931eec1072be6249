"""Mawja's services: a package a room, `runtime` under them, `local` and `tools` beside them."""
