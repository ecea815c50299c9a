"""Relevance on judged collections, before and after rescoring."""
