"""Real images as uint8 tensors in memory, and how to get them."""
