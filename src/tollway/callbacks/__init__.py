"""Where calls are told about: one file for each kind of place. Only those in use are loaded."""
