"""Middleware around every request, as plain ASGI: Starlette's BaseHTTPMiddleware hides a client's disconnect."""
