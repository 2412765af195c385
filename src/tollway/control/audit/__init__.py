"""Who changed what: `/audit`."""
