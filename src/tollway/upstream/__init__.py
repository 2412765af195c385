"""Carrying requests to providers: our own HTTP/1.1 client, one for proxies, and the built-in demo model."""
