"""A proxy beside Elasticsearch that rescores BM25 hits with a cross-encoder."""

__version__ = "0.1.0"
