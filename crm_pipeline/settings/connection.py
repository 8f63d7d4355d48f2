"""The frozen dataclasses of the configuration; they hold the names of secrets, and no secrets.

Only `Settings.secret` gives a secret, as a `Secret`, at the moment of use.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crm_pipeline.kernel.clock import Month
from crm_pipeline.kernel.errors import ConfigError, SecretMissing, UnknownName
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.settings.dotenv_file import read_dotenv
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.settings.numbers import whole_number
from crm_pipeline.settings.providers import Provider
from crm_pipeline.settings.quarantine import QuarantineLimit
from crm_pipeline.settings.retention import Retention
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.settings.verification import Verification

AUTOMATION_VARIABLE = "CRM_AUTOMATION"
SOURCE = "source"
"""The kind of connections whose vendor is a file of the project; that file says how to log in."""


@dataclass(frozen=True)
class AuthSettings:
    """How to log in.

    Attributes:
        kind: the way of logging in, such as `client_credentials`.
        variables: the environment variable of each secret or name, by key, such as
            `{"client_id": "ACME_CLIENT_ID"}`.
        callback_url: where a browser is sent back to after a login, if not to the usual place.
        audience: the `aud` of a JWT assertion, if not the vendor's usual one.
    """

    kind: str
    variables: Mapping[str, str]
    callback_url: str | None = None
    audience: str | None = None


@dataclass(frozen=True)
class ObjectSettings:
    """One object of the vendor that is extracted.

    Attributes:
        route: a read strategy of the vendor, or `auto` to choose by volume, time and budget.
        snapshot: True reads it whole at each refresh, False in windows of modification time; None
            leaves the choice to what the vendor says about the object.
        exclude: fields that are never stored.
        hash: fields of which only a keyed hash is stored.
        sweep_also: fields that are swept beside those that the vendor calls computed.
        sweep_except: fields that are not swept, whatever the vendor calls them.
    """

    name: str
    route: str = "auto"
    snapshot: bool | None = None
    exclude: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    sweep_also: tuple[str, ...] = ()
    sweep_except: tuple[str, ...] = ()

    @property
    def keeps_out(self) -> bool:
        """Whether values of any field are kept out of storage."""
        return bool(self.exclude or self.hash)


@dataclass(frozen=True)
class Connection:
    """One account at one vendor; docs/connections.md describes every key.

    Attributes:
        country: ISO 3166 code by which national phone numbers of records without a country are read; "" for none.
        nightly: when the running month is read again each night, as HH:MM; "" for about two o'clock, "off" for never.
        audit: when it is audited each day, as HH:MM; "" for about four o'clock, "off" for never.
        audit_percent: what audits may cost a day, of the vendor's limit of a day.
        sweep: when values that change without a modification time are swept each day, as HH:MM; "" for about five o'clock,
            "off" for never.
        sweep_percent: what a sweep may cost, of the vendor's limit of a day.
        owners: who answers for its data: teams as `team:name`, people by their e-mail addresses.
        tags: the user's tags of its assets.
        explicit: which of `cadence` and `probe_every_s` the user wrote; only the others are stretched.
    """

    name: str
    vendor: str
    login_url: str
    auth: AuthSettings
    objects: tuple[ObjectSettings, ...]
    start: Month
    cadence: str
    probe_every_s: int
    lookback_s: int
    share: float
    limit_group: str
    api_version: str | None
    sandbox: bool
    mapping: Mapping[str, Mapping[str, str | None]]
    ceilings: Mapping[str, int] = field(default_factory=dict)
    quarantine_share: float = 0.05
    shrink_percent: float = ShrinkBounds.percent
    shrink_rows: int = ShrinkBounds.rows
    explicit: frozenset[str] = frozenset()
    country: str = ""
    nightly: str = ""
    audit: str = ""
    audit_percent: float = 5.0
    sweep: str = ""
    sweep_percent: float = 5.0
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_emulated(self) -> bool:
        """Whether the sandbox serves it; a CRM from a file is served by something else on this machine."""
        return self.sandbox and self.auth.kind != SOURCE

    @property
    def shrink_bounds(self) -> ShrinkBounds:
        """How much may be missing before that is not believed."""
        return ShrinkBounds(self.shrink_percent, self.shrink_rows)

    def object(self, name: str) -> ObjectSettings:
        """Return the settings of an object.

        Raises:
            UnknownName: the connection does not read such an object.
        """
        for candidate in self.objects:
            if candidate.name == name:
                return candidate
        where = f"connection '{self.name}' of connections.yaml"
        raise UnknownName("object", name, [obj.name for obj in self.objects], where=where)


@dataclass(frozen=True)
class Settings:
    """Everything configured.

    Attributes:
        root: the folder that holds connections.yaml.
        data: where everything that is written goes.
        verification: how e-mail addresses and phone numbers are verified.
        drift: what a changed field does to its table.
        enrichment: whom to buy facts about.
        providers: accounts at providers of data.
        policies: what is done about rows that break a rule, by table, column or check.
        owners: who answers for the tables across connections, and for connections that name nobody.
        environ: `.env` and the environment, which wins; hidden from every text, as it holds secrets.
        in_file: names of the variables that are from `.env`.
    """

    root: Path
    data: Path
    connections: Mapping[str, Connection]
    environ: Mapping[str, str] = field(repr=False)
    verification: Verification = field(default_factory=Verification)
    enrichment: Enrichment = field(default_factory=Enrichment)
    drift: DriftPolicies = field(default_factory=DriftPolicies)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    in_file: frozenset[str] = frozenset()
    policies: Mapping[str, Literal["block", "quarantine", "warn", "evolve"]] = field(
        default_factory=dict
    )
    owners: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """The path of connections.yaml."""
        return self.root / "connections.yaml"

    @property
    def retention(self) -> Retention:
        """How much of the past stays."""
        return Retention.of(self.environ)

    @property
    def is_automatic(self) -> bool:
        """Whether schedules and sensors start by themselves."""
        return self.environ.get(AUTOMATION_VARIABLE, "").strip().lower() == "on"

    @property
    def quarantine(self) -> QuarantineLimit:
        """How many records a table may leave out."""
        return QuarantineLimit.of(self.environ)

    @property
    def memory_mb(self) -> int:
        """How much memory one step's SQL may take."""
        return whole_number(self.environ, "CRM_MEMORY_MB", 640, least=256)

    @property
    def bounds(self) -> Bounds:
        """How large and how slow responses of vendors may be."""
        return Bounds.of(self.environ)

    @property
    def query_timeout_s(self) -> int:
        """How long a statement of `crm-pipeline query` may take; 0 for as long as it likes."""
        return whole_number(self.environ, "CRM_QUERY_TIMEOUT_S", 300, least=0)

    @property
    def patience_s(self) -> int:
        """How long a request is tried again, and how long a vendor's `Retry-After` is waited for."""
        return whole_number(self.environ, "CRM_PATIENCE_S", 300, least=1)

    def connection(self, name: str) -> Connection:
        """Return a connection by name.

        Raises:
            UnknownName: there is none of that name.
        """
        if name not in self.connections:
            raise UnknownName("connection", name, self.connections, where=str(self.file))
        return self.connections[name]

    def secret(self, connection: Connection, key: str) -> Secret:
        """Return a secret of a connection, such as `client_secret`.

        Raises:
            SecretMissing: its environment variable is not set, or empty.
            ConfigError: the connection names no variable for it.
        """
        variable = connection.auth.variables.get(key)
        if variable is None:
            raise ConfigError(
                f"connection '{connection.name}' names no environment variable for its {key}.",
                cure=f"Add '{key}_env: NAME_OF_THE_VARIABLE' under "
                f"connections.{connection.name}.auth in {self.file}.",
            )
        # A refresh token may be stored instead; the other variables are needed if they are named.
        named = [name for of, name in connection.auth.variables.items() if of != "refresh_token"]
        return self._secret(variable, f"connection '{connection.name}'", named)

    def provider(self, name: str) -> Provider:
        """Return a provider of data by name.

        Raises:
            UnknownName: there is none of that name.
        """
        if name not in self.providers:
            raise UnknownName("provider", name, self.providers, where=str(self.file))
        return self.providers[name]

    def provider_key(self, provider: Provider) -> Secret:
        """Return the key of a provider of data.

        Raises:
            SecretMissing: its environment variable is not set, or empty.
        """
        return self._secret(provider.key_variable, f"provider '{provider.name}'")

    @property
    def secrets_in_file(self) -> frozenset[str]:
        """Names of the variables with secrets that are from `.env`."""
        named = {name for one in self.connections.values() for name in one.auth.variables.values()}
        named |= {one.key_variable for one in self.providers.values()}
        return self.in_file & named

    def _secret(self, variable: str, owner: str, named: Sequence[str] = ()) -> Secret:
        value, file = self._value(variable), self.root / ".env"
        if not value and file.is_file() and not os.access(file, os.R_OK):
            raise ConfigError(
                f"{owner} needs {variable}, and {file} is not readable for this user.",
                cure=f"Run as the user that owns the file, or export {variable}.",
            )
        if not value:
            others = [name for name in named if name != variable and not self._value(name)]
            raise SecretMissing(variable, *others, owner=owner)
        return Secret(value)

    def _value(self, variable: str) -> str:
        if variable in self.in_file or variable not in self.environ:
            # Read again, so that a renewed secret counts at once in programs that run for weeks.
            return read_dotenv(self.root / ".env").get(variable, "").strip()
        return self.environ[variable].strip()
