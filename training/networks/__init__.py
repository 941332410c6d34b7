"""The networks of both papers; weights in, tensors out, nothing about fitting them."""
