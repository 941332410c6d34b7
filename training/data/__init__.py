"""Real images as uint8 tensors in memory, and their download."""
