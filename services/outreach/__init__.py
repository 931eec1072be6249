"""Outreach: who should hear from us before they call again?"""
