"""Projects, parts of a team: `/project/*`."""
