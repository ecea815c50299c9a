"""Logged searches, asked again."""
