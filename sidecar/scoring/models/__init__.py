"""Model files: where they come from, what their heads mean."""
