"""The HTTP API: one module per resource, and what every request passes on its way to one."""
