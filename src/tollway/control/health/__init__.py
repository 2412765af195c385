"""`/health/…`: what probes have found, and probes of what is not served yet."""
