"""Erase a person or a field from every store, and prove it by a search of the bytes below the data folder."""
