"""connections.yaml as pydantic models, which become our dataclasses.

Values that break a rule raise pydantic errors here; load.py turns those into a `ConfigError` with file
and line.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from crm_pipeline.kernel.clock import Month, SystemClock
from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.settings.addresses import plain_url, require_https, with_port
from crm_pipeline.settings.auth import AuthModel
from crm_pipeline.settings.cadence import cron_problem
from crm_pipeline.settings.connection import SOURCE, Connection, ObjectSettings
from crm_pipeline.settings.document_bounds import (
    MOST_CONNECTIONS,
    MOST_FIELDS,
    MOST_OBJECTS,
    MOST_PROVIDERS,
)
from crm_pipeline.settings.drift import PoliciesByKind
from crm_pipeline.settings.enrichment import EnrichmentModel
from crm_pipeline.settings.labels import valid_owners, valid_tags
from crm_pipeline.settings.model import Model, problem
from crm_pipeline.settings.providers import ProviderModel
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.settings.vendors import VendorFacts
from crm_pipeline.settings.verification import VerificationModel

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
RESERVED = frozenset({"crm", "ops", "history"})  # schemas crm, ops and crm_history of crm.duckdb
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\Z", re.ASCII)
_OBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")


def _owners(value: list[str] | None) -> list[str] | None:
    return None if value is None else list(valid_owners(value))


class ObjectModel(Model):
    """An object in the mapping form of `objects`."""

    route: str = "auto"
    snapshot: bool | None = None
    exclude: list[str] = Field(default_factory=list, max_length=MOST_FIELDS)
    hash: list[str] = Field(default_factory=list, max_length=MOST_FIELDS)
    sweep_also: list[str] = Field(default_factory=list, max_length=MOST_FIELDS)
    sweep_except: list[str] = Field(default_factory=list, max_length=MOST_FIELDS)

    @field_validator("exclude", "hash", "sweep_also", "sweep_except")
    @classmethod
    def _names_fields_once(cls, value: list[str]) -> list[str]:
        for index, name in enumerate(value):
            if not name.strip():
                raise problem(
                    f"holds something that is no field's API name (entry {index + 1})",
                    cure="Use API names such as Birthdate; `crm-pipeline preview` lists them.",
                    at=index,
                )
            if value.index(name) != index:
                raise problem(f"names '{name}' twice", cure="Keep one of the two.", at=index)
        return value

    @model_validator(mode="after")
    def _excludes_or_hashes(self) -> "ObjectModel":
        both = sorted(set(self.exclude) & set(self.hash))
        if both:
            raise problem(
                f"names '{both[0]}' under exclude as well",
                cure="Keep it under 'exclude' to store nothing of it, or under 'hash' to count and join by it.",
                at="hash",
            )
        return self

    @model_validator(mode="after")
    def _sweeps_what_is_stored(self) -> "ObjectModel":
        others = {"sweep_except": self.sweep_except, "exclude": self.exclude, "hash": self.hash}
        for key, names in others.items():
            both = sorted(set(self.sweep_also) & set(names))
            if both:
                raise problem(
                    f"names '{both[0]}' under {key} as well",
                    cure=f"Take it out of 'sweep_also': values under '{key}' are not compared with the CRM's.",
                    at="sweep_also",
                )
        return self

    def settings(self, name: str) -> ObjectSettings:
        """Return the dataclass."""
        return ObjectSettings(
            name,
            self.route,
            self.snapshot,
            tuple(self.exclude),
            tuple(self.hash),
            tuple(self.sweep_also),
            tuple(self.sweep_except),
        )


class ConnectionModel(Model):
    """One connection."""

    vendor: str
    login_url: str
    auth: AuthModel
    objects: dict[str, ObjectModel]
    sandbox: bool = False
    start: str = "2018-01"
    cadence: str = "*/15 * * * *"
    probe_every_s: Annotated[int, Field(ge=30, le=86_400)] = 60
    lookback_s: Annotated[int | None, Field(ge=0, le=604_800)] = None
    shrink_percent: Annotated[float, Field(gt=0, le=100)] = ShrinkBounds.percent
    shrink_rows: Annotated[int, Field(ge=1)] = ShrinkBounds.rows
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    quarantine_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    limit_group: str | None = None
    country: str | None = None
    nightly: str | None = None
    audit: str | None = None
    audit_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    sweep: str | None = None
    sweep_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    api_version: str | None = None
    ceilings: dict[str, Annotated[int, Field(ge=1, le=1_000_000_000)]] = Field(default_factory=dict)
    mapping: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    owners: Annotated[list[str] | None, AfterValidator(_owners)] = None
    tags: Annotated[dict[str, str], BeforeValidator(valid_tags)] = Field(default_factory=dict)
    _lookback_s: int = PrivateAttr(default=VendorFacts.lookback_s)

    @field_validator("vendor")
    @classmethod
    def _vendor_exists(cls, value: str, info: ValidationInfo) -> str:
        vendors = _vendors(info)
        if value not in vendors:
            raise PydanticCustomError(
                "unknown", "unknown", {"kind": "vendor", "name": value, "known": sorted(vendors)}
            )
        return value

    @field_validator("country")
    @classmethod
    def _is_a_code(cls, value: str | None) -> str | None:
        if value is None:
            return None
        from phonenumbers import SUPPORTED_REGIONS  # only who names a country waits for it

        if value not in SUPPORTED_REGIONS:
            raise problem(
                "is no code of a country with telephone numbers",
                cure="Write its ISO 3166 code of two capital letters, such as DE for Germany or GB for the "
                "United Kingdom.",
            )
        return value

    @field_validator("login_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        return plain_url(value, "https://acme.my.salesforce.com")

    @field_validator("objects", mode="before")
    @classmethod
    def _list_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, dict):
            names: list[Any] = list(value)
            whole = {name: {} if options is None else options for name, options in value.items()}
        elif isinstance(value, list):
            # An entry is a name, or a name with its options.
            entries = [
                next(iter(entry.items()))
                if isinstance(entry, dict) and len(entry) == 1
                else (entry, {})
                for entry in value
            ]
            names = [name for name, _ in entries]
            whole = {name: options or {} for name, options in entries if isinstance(name, str)}
        else:
            raise problem(
                "is neither a list of objects nor a mapping of them",
                cure="Write 'objects: [Account, Contact]'.",
            )
        if len(names) > MOST_OBJECTS:
            raise problem(
                f"names {len(names):,} objects; a connection may have {MOST_OBJECTS:,}",
                cure="Leave out what nobody asks for.",
            )
        for index, name in enumerate(names):
            if not isinstance(name, str) or not _OBJECT.match(name):
                raise problem(
                    f"holds something that is no object's API name (entry {index + 1})",
                    cure="Use API names such as Contact or Invoice__c, with options 'Contact: {route: bulk}'.",
                    at=index,
                )
            if names.index(name) != index:
                raise problem(f"names '{name}' twice", cure="Keep one of the two.", at=index)
        return whole

    @field_validator("start")
    @classmethod
    def _past_month(cls, value: str) -> str:
        if not re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", value):
            raise problem(f"is '{value}', which is no month", cure="Write it like 2018-01.")
        if Month.parse(value) > Month.of(SystemClock().now()):
            raise problem(
                f"is '{value}', which lies in the future",
                cure="Name the first month whose records are wanted apart; older ones come with it.",
            )
        return value

    @field_validator("cadence")
    @classmethod
    def _cron(cls, value: str) -> str:
        if fault := cron_problem(value):
            raise problem(
                f"is '{value}', which {fault}",
                cure="Write it like '*/15 * * * *' (every 15 minutes).",
            )
        return value

    @field_validator("nightly", "audit", "sweep", mode="before")
    @classmethod
    def _time_of_day(cls, value: Any) -> Any:
        # Without quotes, `off` is false to YAML, and 4:30 is a number of minutes.
        if value is False:
            return "off"
        text = f"{value // 60}:{value % 60:02}" if type(value) is int else value
        if isinstance(text, str) and (match := _TIME.match(text)):
            return f"{int(match[1]):02}:{match[2]}"
        if text is None or text == "off":
            return text
        raise problem(
            f"is '{value}', which is no time of day",
            cure="Write it like '02:30', in the account's own time zone, or 'off'.",
        )

    @field_validator("limit_group")
    @classmethod
    def _group_name(cls, value: str | None) -> str | None:
        if value is not None and not NAME.match(value):
            raise problem(
                f"is '{value}', which is no name for a group",
                cure="Use lower-case letters, digits and _, beginning with a letter.",
            )
        return value

    @field_validator("api_version", mode="before")
    @classmethod
    def _version(cls, value: Any) -> Any:
        # `66.0` without quotes is a number to YAML and a version to everybody else.
        return str(float(value)) if type(value) in (int, float) else value

    @model_validator(mode="after")
    def _plain_http_is_local(self) -> "ConnectionModel":
        require_https(self.login_url, sandbox=self.sandbox, key="login_url")
        return self

    @model_validator(mode="after")
    def _fits_the_vendor(self, info: ValidationInfo) -> "ConnectionModel":
        facts = _vendors(info)[self.vendor]
        self._lookback_s = facts.lookback_s if self.lookback_s is None else self.lookback_s
        if self.api_version is not None and not re.fullmatch(
            facts.version_pattern, self.api_version
        ):
            raise problem(
                f"is no API version of {self.vendor}",
                cure=f"Write it like '{facts.version_example}', or leave it out.",
                at="api_version",
            )
        for name, options in self.objects.items():
            if options.route not in ("auto", *facts.routes):
                known = sorted(("auto", *facts.routes))
                raise _unknown("route", options.route, known, ("objects", name, "route"))
        for name in self.ceilings:
            if name not in facts.ceilings:
                raise _unknown("ceiling", name, sorted(facts.ceilings), ("ceilings", name))
        return self

    @model_validator(mode="after")
    def _maps_its_own_objects(self) -> "ConnectionModel":
        for name in self.mapping:
            if name not in self.objects:
                raise _unknown("object", name, sorted(self.objects), ("mapping", name))
        return self

    def connection(
        self, name: str, sandbox_port: int | None, owners: Sequence[str] = ()
    ) -> Connection:
        """Return the dataclass.

        Args:
            name: the connection's.
            sandbox_port: replaces the port of a sandbox's address.
            owners: of the whole file, where the connection names none of its own.
        """
        login_url = self.login_url
        if self.sandbox and self.auth.kind != SOURCE and sandbox_port is not None:
            login_url = with_port(login_url, sandbox_port)
        return Connection(
            name=name,
            vendor=self.vendor,
            login_url=login_url,
            auth=self.auth.settings(),
            objects=tuple(options.settings(key) for key, options in self.objects.items()),
            start=Month.parse(self.start),
            cadence=" ".join(self.cadence.split()),
            probe_every_s=self.probe_every_s,
            lookback_s=self._lookback_s,
            share=self.share,
            quarantine_share=self.quarantine_share,
            limit_group=self.limit_group or name,
            country=self.country or "",
            nightly=self.nightly or "",
            audit=self.audit or "",
            audit_percent=self.audit_percent,
            sweep=self.sweep or "",
            sweep_percent=self.sweep_percent,
            api_version=self.api_version,
            ceilings=self.ceilings,
            sandbox=self.sandbox,
            mapping=self.mapping,
            owners=tuple(owners if self.owners is None else self.owners),
            tags=self.tags,
            shrink_percent=self.shrink_percent,
            shrink_rows=self.shrink_rows,
            explicit=frozenset({"cadence", "probe_every_s"} & self.model_fields_set),
        )


class FileModel(Model):
    """The whole file."""

    connections: dict[str, ConnectionModel]
    verification: VerificationModel = VerificationModel()
    enrichment: EnrichmentModel = EnrichmentModel()
    drift: PoliciesByKind = Field(default_factory=dict)
    providers: dict[str, ProviderModel] = Field(default_factory=dict, max_length=MOST_PROVIDERS)
    owners: Annotated[list[str] | None, AfterValidator(_owners)] = None

    @field_validator("providers", mode="before")
    @classmethod
    def _provider_names(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str) or not NAME.match(name):
                raise problem(
                    "is no name for a provider",
                    cure="Use at most 41 lower-case letters, digits and _, beginning with a letter, such as "
                    "prospeo: the name stands beside each fact that was bought.",
                    at=name,
                )
        return {} if value is None else value

    @model_validator(mode="after")
    def _sells(self) -> "FileModel":
        chosen = self.enrichment.provider
        if chosen and chosen not in self.providers:
            error = UnknownName("provider", chosen, self.providers)
            raise problem(
                f"names an {error.message.rstrip('.')}",
                cure=error.cure or "Add it under `providers`; docs/connections.md describes them.",
                at="enrichment",
            )
        return self

    policies: dict[str, Literal["block", "quarantine", "warn", "evolve"]] = Field(
        default_factory=dict, max_length=MOST_FIELDS
    )

    @field_validator("connections", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > MOST_CONNECTIONS:
            raise problem(
                f"holds {len(value):,} connections; at most {MOST_CONNECTIONS:,} are read",
                cure="Split it: another folder with a connections.yaml, named by CRM_HOME, is a pipeline "
                "of its own.",
            )
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str) or not NAME.match(name):
                raise problem(
                    "is no name for a connection",
                    cure="Use at most 41 lower-case letters, digits and _, beginning with a letter, "
                    "such as salesforce_emea: the name becomes part of paths, asset keys and schemas.",
                    at=name,
                )
            if name in RESERVED:
                raise problem(
                    f"is a reserved name ({', '.join(sorted(RESERVED))})",
                    cure="Choose another, such as the name of the team that owns the account.",
                    at=name,
                )
        return {} if value is None else value


def _vendors(info: ValidationInfo) -> Mapping[str, VendorFacts]:
    """Return the facts of each vendor, which `load.py` passes as the context of the validation."""
    vendors: Mapping[str, VendorFacts] = (info.context or {})["vendors"]
    return vendors


def _unknown(kind: str, name: str, known: list[str], path: tuple[str, ...]) -> PydanticCustomError:
    context = {"kind": kind, "name": name, "known": known, "path": path}
    return PydanticCustomError("unknown", "unknown", context)
