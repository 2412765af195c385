"""The HTTP/1.1 server protocol: bytes of a client connection on one side, ASGI on the other."""
