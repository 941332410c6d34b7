"""Exports a checkpoint's generators to ONNX files that need no further code."""

import os

# ONNX Runtime sends telemetry and writes below the user's cache folder unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
