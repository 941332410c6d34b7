"""The objectives of both papers as pure functions of logits and images."""
