"""`/cache/*`: answers that are kept."""
