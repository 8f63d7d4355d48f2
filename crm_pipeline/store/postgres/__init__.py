"""PostgreSQL: the embedded server, connections, migrations, and errors when the server goes away."""

from crm_pipeline.store.postgres.database import Database, database_url, running_database

__all__ = ["Database", "database_url", "running_database"]
