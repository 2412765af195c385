"""Models: what is served, and what of it is kept in the database. `/model/*`, `/v2/model/info`, `/model_group/info`."""
