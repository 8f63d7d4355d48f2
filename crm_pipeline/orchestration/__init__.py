"""Floor 7: everything Dagster. The only folder, besides definitions.py, that imports it."""
