"""The names of everything that Dagster sees of this package, made once and handed to all factories.

A deployment has one name of each kind. `build_defs(prefix="sales")` puts `sales` before every name of ours: asset keys
(and so checks and steps), groups, jobs, schedules, sensors, pools and the resource. Without a prefix the names are those
that histories of Dagster have. Connections, tables and folders have no prefix: it is about Dagster alone.
"""

import re
from dataclasses import dataclass

import dagster as dg

from crm_pipeline.kernel.errors import ConfigError

CONNECTION_TAG = "crm/connection"
"""The tag of runs that read a connection; its value is `Names.connection`."""
CRM = "crm"
"""In keys, first: what is made of all connections, so no connection has this name; behind a connection: its CRM."""
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}\Z")


@dataclass(frozen=True)
class Names:
    """All names of one deployment.

    Args:
        prefix: goes before each of them; "" for none.

    Raises:
        ConfigError: Dagster would refuse names with this prefix.
    """

    prefix: str = ""

    def __post_init__(self) -> None:
        if self.prefix and not _PREFIX.match(self.prefix):
            raise ConfigError(
                f"the prefix '{self.prefix}' cannot begin a name in Dagster.",
                cure="Use letters, digits and underscores, at most 41, and a letter first.",
            )

    def of(self, name: str) -> str:
        """Return a name of ours as the deployment has it."""
        return f"{self.prefix}_{name}" if self.prefix else name

    def key(self, *parts: str) -> dg.AssetKey:
        """Return an asset key."""
        return dg.AssetKey([self.prefix, *parts] if self.prefix else [*parts])

    def connection_of(self, key: dg.AssetKey) -> str:
        """Return the connection of an asset of ours; "" for what is made of all."""
        first = key.path[1 if self.prefix else 0]
        return "" if first == CRM else first

    def source(self, connection: str, obj: str) -> dg.AssetKey:
        """Return the key of an object in its CRM."""
        return self.key(connection, CRM, obj)

    def raw(self, connection: str, obj: str) -> dg.AssetKey:
        """Return the key of a raw asset."""
        return self.key(connection, "raw", obj)

    def normalized(self, connection: str, table: str) -> dg.AssetKey:
        """Return the key of a normalized asset."""
        return self.key(connection, "normalized", table)

    def stage(self, stage: str, table: str) -> dg.AssetKey:
        """Return the key of an asset of a stage across connections."""
        return self.key(CRM, stage, table)

    def published(self, table: str) -> dg.AssetKey:
        """Return the key of a published asset."""
        return self.key(CRM, "published", table)

    def step(self, name: str) -> str:
        """Return the name of a step that makes several assets, or none."""
        return self.of(name)

    def api_pool(self, connection: str) -> str:
        """Return the pool in which steps that call a connection's API wait for each other."""
        return self.of(f"api_{connection}")

    @property
    def build_pool(self) -> str:
        """The pool of steps that build tables: each may use all the memory that it is allowed."""
        return self.of("build")

    @property
    def resource(self) -> str:
        """The key of the resource of all runs."""
        return self.of("crm")

    def connection(self, connection: str) -> str:
        """Return the value of the tag `crm/connection`, by which runs of a connection are found and limited."""
        return self.of(connection)

    def backfill(self, connection: str) -> str:
        """Return the name of a connection's backfill job."""
        return self.of(f"{connection}_backfill")

    def refresh(self, connection: str) -> str:
        """Return the name of a connection's refresh job."""
        return self.of(f"{connection}_refresh")

    def nightly(self, connection: str) -> str:
        """Return the name of a connection's nightly job, and of its schedule."""
        return self.of(f"{connection}_nightly")

    def audit(self, connection: str) -> str:
        """Return the name of a connection's audit job, and of its schedule."""
        return self.of(f"{connection}_audit")

    def sweep(self, connection: str) -> str:
        """Return the name of the job that sweeps a connection, and of its schedule."""
        return self.of(f"{connection}_sweep")

    def cadence(self, connection: str) -> str:
        """Return the name of the schedule that refreshes a connection."""
        return self.of(f"{connection}_cadence")

    def changes(self, connection: str) -> str:
        """Return the name of the sensor that asks a connection what changed."""
        return self.of(f"{connection}_changes")

    @property
    def publish(self) -> str:
        """The name of the job that publishes."""
        return self.of("publish")

    @property
    def enrich(self) -> str:
        """The name of the job that buys."""
        return self.of("enrich")

    @property
    def scrub(self) -> str:
        """The name of the job that checks all files."""
        return self.of("scrub")


PLAIN = Names()
"""The names without a prefix: those of the command line and of a deployment that has nothing else."""
