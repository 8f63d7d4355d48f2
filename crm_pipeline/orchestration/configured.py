"""The resource as Dagster shows it under Deployment, Resources: folders and limits, and names of variables, never a secret.

A run or a tick makes the `Workspace` of it. Loading the definitions opens nothing.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Self, cast

import dagster as dg
from pydantic import Field

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import SecretMissing
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import URL_VARIABLE


class CrmResource(dg.ConfigurableResource[Workspace]):
    """Where crm_pipeline reads its configuration and writes its data, and what a step may take."""

    home: str = Field(
        default="",
        description="The folder of connections.yaml and .env. By default CRM_HOME, else the nearest folder upward that "
        "holds the file.",
    )
    data: str = Field(
        default="",
        description="Where everything is written; relative to home. By default CRM_DATA, else data.",
    )
    memory_mb: int | None = Field(
        default=None,
        description="Memory limit for the SQL of one step. By default CRM_MEMORY_MB, else 640.",
    )
    patience_s: int | None = Field(
        default=None,
        description="For how long a request to a CRM is tried again. By default CRM_PATIENCE_S, else 300.",
    )
    database_url_env: str = Field(
        default=URL_VARIABLE,
        description="The variable with the URL of the PostgreSQL for tokens and call budgets. Where CRM_DATABASE_URL is "
        "not set, it is the embedded server below data/postgres.",
    )

    # Settings that build_defs got. Fields hold what Dagster may show, and these hold secrets as well.
    given: ClassVar[Settings | None] = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the resource for some settings; its config shows what is in force."""
        body = {"__doc__": cls.__doc__, "__module__": cls.__module__}
        held = cast("type[Self]", type(cls.__name__, (cls,), body))
        held.given = settings
        return held(
            home=str(settings.root),
            data=str(settings.data),
            memory_mb=settings.memory_mb,
            patience_s=settings.patience_s,
        )

    def settings(self) -> Settings:
        """Return the settings that this config means.

        Raises:
            ConfigError: connections.yaml is wrong, or a number.
            SecretMissing: the variable with the URL of PostgreSQL is one of the user's own, and is not set.
        """
        chosen = self.given
        if chosen is None or Path(self.home) != chosen.root:
            chosen = load_settings(Path(self.home).expanduser() if self.home else None)
        numbers = {"CRM_MEMORY_MB": self.memory_mb, "CRM_PATIENCE_S": self.patience_s}
        environ = {**chosen.environ, **{k: str(v) for k, v in numbers.items() if v is not None}}
        if self.database_url_env != URL_VARIABLE:
            if not (url := environ.get(self.database_url_env, "").strip()):
                raise SecretMissing(self.database_url_env, owner="crm_pipeline's PostgreSQL")
            environ[URL_VARIABLE] = url
        data = (chosen.root / Path(self.data).expanduser()).resolve() if self.data else chosen.data
        settings = replace(chosen, data=data, environ=environ)
        _ = settings.memory_mb, settings.patience_s  # a wrong number is an error here
        return settings

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:  # noqa: ARG002 - Dagster's signature
        """Return the workspace of a run or a tick."""
        return Workspace(self.settings())
