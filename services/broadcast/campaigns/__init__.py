"""Campaigns: who decides what about them, and what becomes of each recipient."""
