"""Encoders in the box."""
