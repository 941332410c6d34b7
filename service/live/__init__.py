"""Changes of models while the service runs: notices, tries, loads, swaps and releases versions."""
