"""Finds people for campaigns: who reached out, who wants to hear; shows who is in an audience."""
