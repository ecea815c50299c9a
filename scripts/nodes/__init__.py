"""Genuine search nodes on loopback from published Maven jars: what Elasticsearch and OpenSearch have in common."""
