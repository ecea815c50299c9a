"""Bytes in and out: both sides of HTTP. Knows no search."""
