"""Implementations of the ports that keep state. Only the composition root chooses among them."""
