"""Access groups, sets of models that teams and keys are given: `/v1/access_group`."""
