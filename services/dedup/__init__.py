"""Dedup: whose contact is it, and which case? Decided once, with score and reason."""
