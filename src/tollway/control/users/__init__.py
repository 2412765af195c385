"""People: `/user/*`."""
