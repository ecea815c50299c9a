"""The text of a query, as a model reads it. Pure."""
