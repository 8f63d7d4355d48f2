"""CRM data pipeline on Dagster: extract losslessly, prove completeness, publish one DuckDB file."""

__version__ = "0.1.0"
