"""What can be set on each fit."""
