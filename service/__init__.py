"""Serves exported generators over HTTP. Nothing in this package imports torch.

A room imports only from those after it: server, app, api, registry, engine, runtime and images, telemetry; then card,
settings, deadline and errors (`[tool.importlinter]` in pyproject.toml).
"""

import os

# ONNX Runtime sends telemetry and writes below the user's cache folder unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
