"""Fits the vanilla GAN and CycleGAN: from real images to checkpoints."""

import os

# ONNX Runtime sends telemetry and writes below the user's cache folder unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
