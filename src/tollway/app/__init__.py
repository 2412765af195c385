"""The composition root: the only place that picks implementations. Everything is handed down from here."""
