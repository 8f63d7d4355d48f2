"""Floor 4: one folder per vendor, found by the registry. No Dagster, no imports between vendors."""
