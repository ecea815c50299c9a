"""Queries, and the answers to them."""
