"""Runs models with ONNX Runtime: chooses a device, and gives batches slots on it."""
