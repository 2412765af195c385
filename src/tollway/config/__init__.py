"""What the operator wrote, made into what runs.

`keys` says what may be written; `document` reads YAML and remembers lines; `load` settles which source wins for each
setting; `compile` makes the snapshot that calls are served from; `discover` does without a file. Nothing here imports
pydantic: reading a configuration is part of starting, and starting must be quick.
"""
