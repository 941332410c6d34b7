"""Makes batches of requests: a model's queue, the batcher that empties it, and the model's health."""
