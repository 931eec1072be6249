"""The wave: what is happening now, on one page."""
