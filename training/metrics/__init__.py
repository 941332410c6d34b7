"""Measures of generated pictures, pure functions of features or labels."""
