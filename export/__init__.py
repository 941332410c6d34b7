"""Exports a checkpoint's generators to ONNX files that need no further code."""
