"""The management plane: one package per resource, assembled by `api`. Loaded after the socket listens."""
