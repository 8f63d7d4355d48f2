"""PostgreSQL: the embedded server, the connection, migrations, and what happens when it goes away."""

from crm_pipeline.store.postgres.database import Database, database_url, running_database

__all__ = ["Database", "database_url", "running_database"]
