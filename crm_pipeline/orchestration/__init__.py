"""Floor 6: everything Dagster. The only folder, besides definitions.py, that imports it."""
