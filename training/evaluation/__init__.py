"""Scoring finished generators: the file that is served, or a checkpoint."""
