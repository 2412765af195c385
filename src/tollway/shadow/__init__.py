"""A proxy before one gateway that asks another the same, and says where their answers differ."""
