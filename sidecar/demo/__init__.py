"""The demo: a real collection, a real Elasticsearch, and the sidecar between them and the client."""
