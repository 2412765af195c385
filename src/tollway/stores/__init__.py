"""Implementations of the ports. Only `app` chooses among them."""
