"""Floor 2: files, DuckDB and PostgreSQL. Knows nothing about any stage."""
