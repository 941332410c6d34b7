"""From a checkpoint to one ONNX file that needs no code around it."""
