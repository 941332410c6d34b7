"""The settings of each fit, one module a task; every field's docstring is its help text."""
