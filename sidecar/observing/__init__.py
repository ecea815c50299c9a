"""What is told of searches: records, metrics, logs."""
