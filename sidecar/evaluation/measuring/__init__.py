"""Measures of answers, and how sure they are."""
