"""What the gateway needs from the outside, as protocols. Implementations are chosen in `app` alone."""
