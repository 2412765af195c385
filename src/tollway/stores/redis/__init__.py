"""Redis or Valkey: what replicas and workers share besides the database."""
