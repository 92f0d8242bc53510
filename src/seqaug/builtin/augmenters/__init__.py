"""Augmenters in the box."""
