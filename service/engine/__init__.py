"""From requests to batches: the queue of a model, and the batcher that empties it."""
