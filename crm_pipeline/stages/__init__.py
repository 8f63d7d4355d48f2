"""Floor 5: one folder per stage; tables in, tables out. Stages meet only through `model.tables`."""
