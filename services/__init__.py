"""Mawja's services: one package a room, `runtime` under them all, `local` and `tools` beside them."""
