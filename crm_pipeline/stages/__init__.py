"""Floor 4: one folder per step; tables in, tables out. Stages meet only through `model.tables`."""
