"""Whose calls we take: contracts of agencies, how full every queue is, what follows from both."""
