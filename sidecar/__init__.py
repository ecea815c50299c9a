"""A proxy beside Elasticsearch that rescores BM25 hits with a cross-encoder."""
