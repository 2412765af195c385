"""Sessions, the runs of agents: what each has done, and stopping one: `/session/*`."""
