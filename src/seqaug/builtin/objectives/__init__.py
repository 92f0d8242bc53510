"""Objectives in the box."""
