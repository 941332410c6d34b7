"""The HTTP API: a module per resource, the middleware around them, and what they share."""
