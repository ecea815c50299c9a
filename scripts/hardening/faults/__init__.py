"""Faults that are injected for real, what clients may see of each, and the laws that judge it: `scripts/faults`."""
