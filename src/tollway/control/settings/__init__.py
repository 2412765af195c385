"""Settings that are changed while the gateway runs: `/config/*`, `/fallback`, `/get/config/callbacks`."""
