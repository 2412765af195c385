"""Organizations and their members: `/organization/*`."""
