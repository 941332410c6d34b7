"""ONNX Runtime: the choice of a device, and models running on it."""
