"""Scoring on this machine: one engine, its models, batches and backends."""
