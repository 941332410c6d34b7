"""Serving exported generators over HTTP. Nothing here imports torch."""
