"""What is served: `/model/info` and `/model_group/info`, read from the snapshot."""
