"""The use case "serve one call", free of HTTP: admit, attempt, relay, settle."""
