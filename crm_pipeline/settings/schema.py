"""The shape of connections.yaml as pydantic models, and the walk from them to our dataclasses.

Values that break a rule raise pydantic errors here; load.py turns those into a `ConfigError` with file
and line.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from crm_pipeline.kernel.clock import Month, SystemClock
from crm_pipeline.settings.cadence import cron_problem
from crm_pipeline.settings.connection import AuthSettings, Connection, ObjectSettings

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
RESERVED = frozenset({"crm", "ops", "history"})  # schemas crm, ops and crm_history of crm.duckdb
# A Salesforce secret is 64 upper-case hexadecimal digits: a shorter limit tells it from a name.
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,59}\Z")
_OBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")

KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    # kind -> variables that it needs, variables that it may have
    "client_credentials": (frozenset({"client_id", "client_secret"}), frozenset()),
    "refresh_token": (frozenset({"client_id", "refresh_token"}), frozenset({"client_secret"})),
}
# Known, so that the connector can say in plain words until when the vendor still takes them.
RETIRED_KINDS = frozenset({"password", "username_password", "soap"})
RETIRED_FIELDS = frozenset({"username_env", "password_env", "security_token_env"})


def problem(text: str, *, cure: str = "", **context: Any) -> PydanticCustomError:
    """Return the error that a validator raises; load.py adds file and line."""
    escaped = text.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError("rule", escaped, {"text": text, "cure": cure, **context})


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class AuthModel(_Model):
    """The key `auth` of a connection."""

    kind: str
    client_id_env: str | None = None
    client_secret_env: str | None = None
    refresh_token_env: str | None = None
    username_env: str | None = None
    password_env: str | None = None
    security_token_env: str | None = None

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if value not in KINDS and value not in RETIRED_KINDS:
            raise PydanticCustomError(
                "unknown", "unknown", {"kind": "auth kind", "name": value, "known": sorted(KINDS)}
            )
        return value

    @field_validator("*")
    @classmethod
    def _variable_name(cls, value: str | None, info: Any) -> str | None:
        if info.field_name == "kind" or value is None or _VARIABLE.match(value):
            return value
        raise problem(
            "is not the name of an environment variable (capital letters, digits and _; at most 60)",
            cure="Put the secret itself into the environment or .env, and only the variable's name "
            "here. If this was the secret, treat it as exposed.",
        )

    @model_validator(mode="after")
    def _complete(self) -> "AuthModel":
        if self.kind in RETIRED_KINDS:
            return self
        needed, optional = KINDS[self.kind]
        given = self.variables().keys()
        if missing := sorted(needed - given):
            raise problem(
                f"is of kind {self.kind}, which also needs {', '.join(f'{m}_env' for m in missing)}",
                cure="Add "
                + " and ".join(f"'{m}_env: NAME_OF_THE_VARIABLE'" for m in missing)
                + ".",
            )
        if extra := sorted(given - needed - optional):
            raise problem(
                f"does not belong to the kind {self.kind}; "
                f"allowed: {', '.join(sorted(f'{n}_env' for n in needed | optional))}",
                cure=f"Remove {extra[0]}_env or change the kind.",
                at=f"{extra[0]}_env",
            )
        return self

    def variables(self) -> dict[str, str]:
        """Return what is needed -> the variable that holds it."""
        fields = self.model_dump(exclude={"kind"}, exclude_none=True)
        return {key.removesuffix("_env"): value for key, value in fields.items()}


class ObjectModel(_Model):
    """An object in the mapping form of `objects`."""

    route: Literal["auto", "rest", "bulk"] = "auto"
    snapshot: bool | None = None


class ConnectionModel(_Model):
    """One connection."""

    vendor: str
    login_url: str
    auth: AuthModel
    objects: dict[str, ObjectModel]
    sandbox: bool = False
    start: str = "2018-01"
    cadence: str = "*/15 * * * *"
    probe_every_s: Annotated[int, Field(ge=30, le=86_400)] = 60
    lookback_s: Annotated[int, Field(ge=0, le=604_800)] = 600
    share: Annotated[float, Field(gt=0, le=1)] = 0.9
    limit_group: str | None = None
    api_version: str | None = None
    mapping: dict[str, dict[str, str | None]] = {}

    @field_validator("vendor")
    @classmethod
    def _known_vendor(cls, value: str, info: Any) -> str:
        known = info.context["vendors"]
        if value not in known:
            raise PydanticCustomError(
                "unknown", "unknown", {"kind": "vendor", "name": value, "known": sorted(known)}
            )
        return value

    @field_validator("login_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        try:
            url = urlsplit(value)
            whole = bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:
            whole = False
        if not whole or url.scheme not in ("https", "http"):
            raise problem(
                "is no web address",
                cure="Write it like https://acme.my.salesforce.com, without a path of the API.",
            )
        if url.username or url.password or url.query or url.fragment:
            raise problem(
                "carries more than an address (a login, a query or a fragment)",
                cure="Keep the part before '?' and '#', and put credentials into the environment.",
            )
        return value.rstrip("/")

    @field_validator("objects", mode="before")
    @classmethod
    def _list_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, dict):
            names: list[Any] = list(value)
            whole = {name: {} if options is None else options for name, options in value.items()}
        elif isinstance(value, list):
            names = value
            whole = {name: {} for name in value if isinstance(name, str)}
        else:
            raise problem(
                "is neither a list of objects nor a mapping of them",
                cure="Write 'objects: [Account, Contact]'.",
            )
        for index, name in enumerate(names):
            if not isinstance(name, str) or not _OBJECT.match(name):
                raise problem(
                    f"holds something that is no object's API name (entry {index + 1})",
                    cure="Use API names such as Contact or Invoice__c; options need the mapping form "
                    "'Contact: {route: bulk}' for all entries.",
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
        if found := cron_problem(value):
            raise problem(
                f"is '{value}', which {found}",
                cure="Write it like '*/15 * * * *' (every 15 minutes).",
            )
        return value

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
        text = str(float(value)) if type(value) in (int, float) else value
        if text is not None and not (isinstance(text, str) and re.fullmatch(r"\d{1,3}\.\d", text)):
            raise problem("is no API version", cure="Write it like '66.0', or leave it out.")
        return text

    @model_validator(mode="after")
    def _plain_http_stays_at_home(self) -> "ConnectionModel":
        url = urlsplit(self.login_url)
        if url.scheme == "http" and not (self.sandbox and _is_loopback(url.hostname or "")):
            raise problem(
                "is plain http, which would send the secrets readable over the network; it is allowed "
                "only for the sandbox on this machine",
                cure="Write https://, or, for the sandbox, use 127.0.0.1 and add 'sandbox: true'.",
                at="login_url",
            )
        return self

    @model_validator(mode="after")
    def _mapping_of_own_objects(self) -> "ConnectionModel":
        for name in self.mapping:
            if name not in self.objects:
                raise PydanticCustomError(
                    "unknown",
                    "unknown",
                    {
                        "kind": "object",
                        "name": name,
                        "known": sorted(self.objects),
                        "path": ("mapping", name),
                    },
                )
        return self

    def connection(self, name: str, sandbox_port: int | None) -> Connection:
        """Return the dataclass; `sandbox_port` replaces the port of a sandbox's address."""
        login_url = self.login_url
        if self.sandbox and sandbox_port is not None:
            login_url = _with_port(login_url, sandbox_port)
        return Connection(
            name=name,
            vendor=self.vendor,
            login_url=login_url,
            auth=AuthSettings(self.auth.kind, self.auth.variables()),
            objects=tuple(
                ObjectSettings(key, options.route, options.snapshot)
                for key, options in self.objects.items()
            ),
            start=Month.parse(self.start),
            cadence=" ".join(self.cadence.split()),
            probe_every_s=self.probe_every_s,
            lookback_s=self.lookback_s,
            share=self.share,
            limit_group=self.limit_group or name,
            api_version=self.api_version,
            sandbox=self.sandbox,
            mapping=self.mapping,
        )


class FileModel(_Model):
    """The whole file."""

    connections: dict[str, ConnectionModel]

    @field_validator("connections", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
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


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_port(login_url: str, port: int) -> str:
    url = urlsplit(login_url)
    host = url.netloc.rpartition(":")[0] if url.port is not None else url.netloc
    return url._replace(netloc=f"{host}:{port}").geturl()
