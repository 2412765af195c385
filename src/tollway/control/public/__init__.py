"""What is open to everybody, without a key: models that were marked public, providers, and what models cost."""
