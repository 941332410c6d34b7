"""Serves exported generators over HTTP. Nothing in this package imports torch.

A room imports only from those after it: server, app, api, registry, engine, runtime and images, telemetry; then card,
settings, deadline and errors (`[tool.importlinter]` in pyproject.toml).
"""
