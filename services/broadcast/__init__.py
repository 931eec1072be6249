"""Broadcast: may it go, when, by which route, and what became of it?"""
