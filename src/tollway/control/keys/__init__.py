"""Virtual keys: `/key/*`."""
