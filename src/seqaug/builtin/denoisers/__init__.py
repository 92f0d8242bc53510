"""Denoisers in the box."""
