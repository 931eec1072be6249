"""Carriers: one adapter for each way out to phones, all behind the interface in ``base``."""
