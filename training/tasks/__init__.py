"""What each fit does in a step: networks, optimisers and losses put together."""
