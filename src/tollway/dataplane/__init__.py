"""The HTTP edge of inference: bare ASGI, no framework."""
