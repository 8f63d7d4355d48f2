"""Floor 1: the common language of tables, mappings and contracts. Does no input or output."""
