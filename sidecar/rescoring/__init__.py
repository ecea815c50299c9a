"""Orchestration: what happens to one search between the proxy and the pure modules."""
