"""Stores in a SQL database: SQLite and Postgres, through the same statements."""
