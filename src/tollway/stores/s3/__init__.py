"""What is kept in buckets."""
