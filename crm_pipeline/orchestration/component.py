"""The component for teams that write their definitions as `defs.yaml`; it calls `build_defs`, and nothing more.

Connections stay in connections.yaml, which the command line reads as well. The component names its folder. It resolves no
secret: a missing one fails the runs of its own connection, and not the deployment.
"""

from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from crm_pipeline.configuration import load_settings
from crm_pipeline.orchestration.build import build_defs

_HOME = "The folder of connections.yaml and .env, relative to the project's root."
_PREFIX = "Goes before every name of crm_pipeline that Dagster sees; needed where the deployment has some of the names."
_FILE = "connections.yaml"
_STARTER = "# `crm-pipeline add` asks for an account, tries its login, and writes it here.\nconnections: {}\n"


class Parameters(BaseModel):
    """What `dg scaffold defs` takes."""

    home: str = Field(default=".", description=_HOME)
    prefix: str = Field(default="", description=_PREFIX)


class CrmConnectionsScaffolder(dg.Scaffolder[Parameters]):
    """Writes defs.yaml, and a connections.yaml without connections if there is none."""

    @classmethod
    def get_scaffold_params(cls) -> type[Parameters]:
        """Return the model of the parameters."""
        return Parameters

    def scaffold(self, request: dg.ScaffoldRequest[Parameters]) -> None:
        """Write the files."""
        chosen = request.params
        attributes = {"home": chosen.home, **({"prefix": chosen.prefix} if chosen.prefix else {})}
        dg.scaffold_component(request, attributes)
        if request.project_root is not None:
            file = request.project_root / chosen.home / _FILE
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(_STARTER, encoding="utf-8")


@dg.scaffold_with(CrmConnectionsScaffolder)
class CrmConnections(dg.Component, dg.Model, dg.Resolvable):
    """The assets, jobs, schedules and sensors of all accounts in a connections.yaml."""

    home: str = Field(default=".", description=_HOME)
    prefix: str = Field(default="", description=_PREFIX)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions."""
        home = Path(context.project_root, Path(self.home).expanduser())
        return build_defs(load_settings(home), prefix=self.prefix)
