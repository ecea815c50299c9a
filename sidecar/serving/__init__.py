"""The sidecar's own endpoints, on listeners of their own."""
