"""The file of a source, `sources/<name>.yaml`, as pydantic models: a CRM that is read without a line of Python.

Each model is one block of the file. `source_file.py` reads it, and makes errors with file and line of what breaks a rule here.
"""

import re
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from crm_pipeline.kernel.errors import UnknownName
from crm_pipeline.model.account import is_time_zone
from crm_pipeline.model.tables import TABLES
from crm_pipeline.settings.addresses import plain_url
from crm_pipeline.settings.model import Model, problem

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
SECRET = re.compile(r"\{\{\s*secret\.([A-Za-z][A-Za-z0-9_]{0,40})\s*\}\}")
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_ID_TEMPLATE = re.compile(r"\{\{\s*id\s*\}\}")
_DOTTED = re.compile(r"[^.\s]+(\.[^.\s]+)*\Z")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}\Z")
_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PARTS = ("method", "path", "query_sorted", "timestamp", "nonce", "body", "body_sha256", "key_id")
_LOCAL_LOOKBACK_S = 7200


def template(text: str) -> str:
    """Return a text whose templates name secrets only."""
    if _TEMPLATE.search(SECRET.sub("", text)):
        raise problem(
            "holds a template that is not allowed here",
            cure="Only '{{ secret.NAME }}' is; connections.yaml names the variable of each secret.",
        )
    return text


def secret(text: str) -> str:
    """Return a text with at least one secret in it, which stands in no file."""
    if not SECRET.search(template(text)):
        raise problem(
            "is written into the file, where everybody can read it",
            cure="Write '{{ secret.NAME }}' here, the variable under `auth: secrets:` in connections.yaml, and the "
            "value into .env. If the file was shared, make a new secret.",
        )
    return text


def dotted(text: str) -> str:
    """Return a path of keys, such as `data.items`; "." for the response itself."""
    if text != "." and not _DOTTED.match(text):
        raise problem(
            "is no path of keys", cure="Write it like 'data.items', or '.' for the response itself."
        )
    return text


def seconds(text: str) -> str:
    """Return a duration such as 10m."""
    if not _DURATION.match(text):
        raise problem(
            f"is '{text}', which is no duration", cure="Write it like 30s, 10m, 2h or 1d."
        )
    return text


Secret = Annotated[str, Field(min_length=1), AfterValidator(secret)]
Template = Annotated[str, AfterValidator(template)]
KeyPath = Annotated[str, AfterValidator(dotted)]
Duration = Annotated[str, AfterValidator(seconds)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Into(Model):
    """Where a value goes in a request: a header, a parameter of the query, or a cookie."""

    header: str | None = None
    query: str | None = None
    cookie: str | None = None
    prefix: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.header, self.query, self.cookie)) != 1:
            raise problem(
                "names not exactly one place",
                cure="Write one of 'header: NAME', 'query: NAME' or 'cookie: NAME'.",
            )
        if self.header is not None and not _HEADER.match(self.header):
            raise problem(
                "is no name of a header", cure="Use letters, digits and '-'.", at="header"
            )
        return self


class ApiKeyAuth(Model):
    """A key that goes with each request."""

    type: Literal["api_key"]
    value: Secret
    into: Into


class BasicAuth(Model):
    """A name and a password (RFC 7617)."""

    type: Literal["basic"]
    username: Template
    password: str

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        # Some APIs take the key as the name, with an empty or constant password.
        if not SECRET.search(self.username):
            secret(self.password)
        template(self.password)
        return self


class BearerAuth(Model):
    """A token that does not expire (RFC 6750)."""

    type: Literal["bearer"]
    token: Secret
    scheme: str = "Bearer"


class Timestamp(Model):
    """Where the time of a signed request goes, and in which form."""

    into: Into
    format: Literal["epoch_s", "epoch_ms", "iso8601", "http_date"] = "epoch_s"


class HmacAuth(Model):
    """A signature of each request with a shared secret."""

    type: Literal["hmac"]
    key_id: Template = ""
    secret: Secret
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    canonical: Annotated[list[str], Field(min_length=1, max_length=20)]
    join: str = "\n"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    into: Into
    key_into: Into | None = None
    timestamp: Timestamp | None = None
    nonce_into: Into | None = None

    @field_validator("canonical")
    @classmethod
    def _known_parts(cls, value: list[str]) -> list[str]:
        for index, part in enumerate(value):
            if part not in _PARTS and not re.match(r"(literal|header):.", part):
                known = [*_PARTS, "header:NAME", "literal:TEXT"]
                error = UnknownName("part of a signed request", part, known)
                raise problem(
                    f"has an {error.message.rstrip('.')}",
                    cure=error.cure or "Write one of these.",
                    at=index,
                )
        return value

    @model_validator(mode="after")
    def _sends_what_it_signs(self) -> Self:
        if "timestamp" in self.canonical and self.timestamp is None:
            raise problem(
                "signs a timestamp that is not sent",
                cure="Add 'timestamp: {into: {header: NAME}}'.",
            )
        if "nonce" in self.canonical and self.nonce_into is None:
            raise problem(
                "signs a nonce that is not sent", cure="Add 'nonce_into: {header: NAME}'."
            )
        return self


class LoginRequest(Model):
    """The request that begins a session."""

    path: str
    method: Literal["POST", "GET"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    json_body: dict[str, str] | None = Field(default=None, alias="json")
    form: dict[str, str] | None = None

    @model_validator(mode="after")
    def _templates(self) -> Self:
        given = [
            *(self.json_body or {}).values(),
            *(self.form or {}).values(),
            *self.headers.values(),
        ]
        for text in given:
            template(text)
        if not any(SECRET.search(text) for text in given):
            raise problem(
                "sends no secret",
                cure="Write '{{ secret.NAME }}' for what is secret, under `json` or `form`.",
            )
        return self


class SessionAuth(Model):
    """A login that returns the token of a session."""

    type: Literal["session"]
    login: LoginRequest
    token_from: str
    into: Into
    ttl: Duration = "30m"


class CombinedAuth(Model):
    """Several of the others, one after the other."""

    type: Literal["chain"]
    of: Annotated[list["SingleAuth"], Field(min_length=2, max_length=4)]


SingleAuth = Annotated[
    ApiKeyAuth | BasicAuth | BearerAuth | HmacAuth | SessionAuth, Field(discriminator="type")
]
Auth = Annotated[
    ApiKeyAuth | BasicAuth | BearerAuth | HmacAuth | SessionAuth | CombinedAuth,
    Field(discriminator="type"),
]


class SinglePage(Model):
    """The whole list comes at once."""

    type: Literal["none"]


class OffsetPaging(Model):
    """Pages by the number of records before them.

    Attributes:
        overlap: how many records each page repeats of the one before, by which a shift is noticed.
        max_offset: the vendor's cap; a list that reaches it is an error.
        last_page: whether the list ends with an empty page, or with one that is not full.
    """

    type: Literal["offset"]
    offset_into: Into
    size: Count = 100
    size_into: Into
    start: Annotated[int, Field(ge=0, le=1)] = 0
    overlap: Annotated[int, Field(ge=0, le=100)] = 1
    max_offset: Count | None = None
    total_from: str | None = None
    last_page: Literal["empty", "short"] = "empty"


class NumberPaging(Model):
    """Pages by their numbers."""

    type: Literal["page"]
    page_into: Into
    size: Count = 100
    size_into: Into | None = None
    start: Annotated[int, Field(ge=0, le=1)] = 1
    max_page: Count | None = None
    has_more_from: str | None = None
    total_pages_from: str | None = None
    last_page: Literal["empty", "short"] = "empty"


class CursorPaging(Model):
    """Each response names the cursor of the next page."""

    type: Literal["cursor"]
    cursor_from: str
    into: Into
    size: Count = 100
    size_into: Into | None = None
    has_more_from: str | None = None


class LinkPaging(Model):
    """Each response names the address of the next page."""

    type: Literal["next_link"]
    link_from: str
    size: Count = 100
    size_into: Into | None = None


class KeysetPaging(Model):
    """Each page begins at the time of change of the last record of the one before.

    Attributes:
        tiebreak_into: where the id of that record goes, so that records with the same time are passed one after the other.
    """

    type: Literal["keyset"]
    op: Literal["gte", "gt"] = "gte"
    tiebreak_into: Into | None = None
    size: Count = 100
    size_into: Into

    @model_validator(mode="after")
    def _loses_nothing(self) -> Self:
        if self.op == "gt" and self.tiebreak_into is None:
            raise problem(
                "goes on after the last time of change, which skips further records with the same time",
                cure="Write 'op: gte' if the API includes the time itself, or name where the id goes: 'tiebreak_into'.",
            )
        return self


Paging = Annotated[
    SinglePage | OffsetPaging | NumberPaging | CursorPaging | LinkPaging | KeysetPaging,
    Field(discriminator="type"),
]


class Incremental(Model):
    """How changed records are found.

    Attributes:
        field: path of the time of change in a record.
        format: of the time: `iso8601`, `epoch_s`, `epoch_ms`, or a pattern such as `%d.%m.%Y %H:%M`.
        time_zone: of times without a zone.
        start_into, end_into: where the window goes; without `start_into` the API cannot filter, and each refresh reads the whole list.
        mode: `feed`: the list is sorted by it, newest first, and is read down to the last refresh.
        op: whether the start itself is included.
        lookback: how late a change may appear.
    """

    field: KeyPath
    format: str = "iso8601"
    time_zone: str | None = None
    mode: Literal["server", "client", "feed"] = "server"
    start_into: Into | None = None
    end_into: Into | None = None
    op: Literal["gte", "gt"] = "gte"
    lookback: Duration = "10m"

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        if value is not None and not is_time_zone(value):
            raise problem(
                f"is '{value}', which is no time zone", cure="Write it like Europe/Berlin."
            )
        return value

    @field_validator("format")
    @classmethod
    def _is_format(cls, value: str) -> str:
        if value not in {"iso8601", "epoch_s", "epoch_ms"} and "%" not in value:
            raise problem(
                f"is '{value}', which is no form of a time",
                cure="Write iso8601, epoch_s, epoch_ms, or a pattern such as '%d.%m.%Y %H:%M'.",
            )
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mode == "server" and self.start_into is None:
            raise problem(
                "does not say where the start of the window goes",
                cure="Add 'start_into: {query: NAME}', or 'mode: client' if the API cannot filter by time.",
            )
        if (
            self.time_zone
            and self.lookback_s < _LOCAL_LOOKBACK_S
            and ZoneInfo(self.time_zone).key != "UTC"
        ):
            raise problem(
                "has local times, which repeat an hour when the clock is set back",
                cure="Write 'lookback: 2h' or longer.",
            )
        return self

    @property
    def lookback_s(self) -> int:
        """The look-back in seconds."""
        return duration_s(self.lookback)


class DeletedFlag(Model):
    """Deleted records come with the others, and a field says so."""

    field: KeyPath
    equals: str | bool | int


class FieldDef(Model):
    """One field of a record, for a column of the common model.

    Attributes:
        source: its path, written `from`.
        type: of the values; by default that of the column.
        format: of a time: as of `incremental`.
        values: texts of the API and those of the column; other texts stay as they are.
    """

    source: KeyPath = Field(alias="from")
    type: (
        Literal[
            "string", "integer", "decimal", "double", "boolean", "date", "timestamp", "json", "id"
        ]
        | None
    ) = None
    format: Literal["", "epoch_ms", "local"] = ""
    values: dict[str, str] = Field(default_factory=dict)
    refers_to: str | None = None


class CustomFields(Model):
    """Where fields stand that this file does not name."""

    source: KeyPath = Field(default=".", alias="from")
    prefix: str = ""


class Single(Model):
    """How one record is requested by its id."""

    path: str
    record: KeyPath = "."

    @field_validator("path")
    @classmethod
    def _has_an_id(cls, value: str) -> str:
        if len(_ID_TEMPLATE.findall(value)) != 1 or "{{" in _ID_TEMPLATE.sub("", value):
            raise problem("does not hold '{{ id }}' once", cure="Write it like /contacts/{{ id }}.")
        return value

    def path_of(self, record: str) -> str:
        """Return the path of a record; its id is quoted already."""
        return _ID_TEMPLATE.sub(lambda _: record, self.path)


class Resource(Model):
    """One list of records.

    Attributes:
        table: the table of the common model that it feeds; None lands it alone.
        records: path of the list in a response.
        primary_key: path of the id in a record.
    """

    path: str
    records: KeyPath = "."
    table: str | None = None
    label: str = ""
    params: dict[str, str] = Field(default_factory=dict)
    primary_key: KeyPath = "id"
    paginate: Paging
    incremental: Incremental | None = None
    deleted: DeletedFlag | None = None
    deleted_list: str | None = None
    single: Single | None = None
    fields: dict[str, FieldDef] = Field(default_factory=dict)
    custom_fields: CustomFields = CustomFields()
    cost: Annotated[int, Field(ge=1, le=10_000)] = 1

    @field_validator("fields", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            key: {"from": entry} if isinstance(entry, str) else entry
            for key, entry in value.items()
        }

    @model_validator(mode="after")
    def _fits_the_table(self) -> Self:
        if self.table is None:
            if self.fields:
                raise problem(
                    "maps fields without a table", cure="Add 'table: contacts'.", at="fields"
                )
            return self
        if self.table not in TABLES:
            error = UnknownName("table", self.table, TABLES)
            raise problem(
                f"names an {error.message.rstrip('.')}",
                cure=error.cure or "Write one of these.",
                at="table",
            )
        columns = {column.name for column in TABLES[self.table].columns}
        for name in self.fields:
            if name not in columns:
                error = UnknownName(f"column of {self.table}", name, columns)
                raise problem(
                    f"names an {error.message.rstrip('.')}",
                    cure=error.cure or "Write one of these.",
                    path=("fields", name),
                )
        return self

    @model_validator(mode="after")
    def _orders_by_time(self) -> Self:
        if isinstance(self.paginate, KeysetPaging) and (
            self.incremental is None or self.incremental.start_into is None
        ):
            raise problem(
                "pages by the time of change, and says not where that stands",
                cure="Add 'incremental' with 'field' and 'start_into'.",
            )
        return self


class BurstLimit(Model):
    """At most so many calls within some seconds."""

    shape: Literal["burst"]
    name: Annotated[str, Field(pattern=NAME.pattern.removesuffix(r"\Z"))] = "burst"
    calls: Count
    per_s: Annotated[float, Field(gt=0, le=86_400)]


class DayLimit(Model):
    """At most so much a day; calls cost what their resource says."""

    shape: Literal["day"]
    name: Annotated[str, Field(pattern=NAME.pattern.removesuffix(r"\Z"))] = "daily"
    calls: Count
    time_zone: str = ""
    unit: Literal["calls", "credits", "tokens"] = "calls"
    remaining_header: str = ""
    limit_header: str = ""


class ConcurrencyLimit(Model):
    """At most so many calls at the same time."""

    shape: Literal["concurrency"]
    name: Annotated[str, Field(pattern=NAME.pattern.removesuffix(r"\Z"))] = "concurrency"
    calls: Count


LimitBlock = Annotated[BurstLimit | DayLimit | ConcurrencyLimit, Field(discriminator="shape")]


class BodyMatch(Model):
    """A value in the body of a response."""

    path: KeyPath
    equals: str | bool | int | None = None
    matches: str | None = None

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error:
            raise problem(
                "is no regular expression", cure="Correct it; '.*' fits every text."
            ) from None
        return value


class When(Model):
    """Which responses a rule is about: all that is named has to fit."""

    status: list[Annotated[int, Field(ge=100, le=599)]] = Field(default_factory=list)
    body: BodyMatch | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.status and self.body is None:
            raise problem("names neither 'status' nor 'body'", cure="Add one of them.")
        return self


class ErrorRule(Model):
    """What a response means.

    Attributes:
        then: `retry` later, `wait` as for a limit, `login` again, `absent` record, `denied` permission, or `fail`.
    """

    when: When
    then: Literal["retry", "wait", "login", "absent", "denied", "fail", "ok"]
    cure: str = ""


class Check(Model):
    """The request by which a login is tried."""

    path: str
    identity: str = ""


class Source(Model):
    """A whole file."""

    version: Literal[1]
    name: str
    title: str = ""
    base_url: str
    docs: str = ""
    auth: Auth
    headers: dict[str, str] = Field(default_factory=dict)
    check: Check
    time_zone: str | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    limits: list[LimitBlock] = Field(default_factory=list, max_length=10)
    errors: list[ErrorRule] = Field(default_factory=list, max_length=100)
    error_message: str = "message"
    resources: Annotated[dict[str, Resource], Field(min_length=1, max_length=200)]

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not NAME.match(value):
            raise problem(
                "is no name for a source",
                cure="Use at most 41 lower-case letters, digits and _, beginning with a letter, such as acme_crm.",
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        return plain_url(value, "https://api.acme.example/v1")

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            template(text)
            if name.lower() in {"authorization", "x-api-key", "cookie"} and not SECRET.search(text):
                raise problem("holds a secret", cure="Describe it under `auth`.", at=name)
        return value

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        return tuple(sorted({match[1] for match in SECRET.finditer(repr(self.model_dump()))}))


def duration_s(text: str) -> int:
    """Return a duration such as 10m in seconds."""
    match = _DURATION.match(text)
    assert match is not None
    return int(match[1]) * _SECONDS[match[2]]


def keys_of(path: str) -> tuple[str, ...]:
    """Return the keys of a path; none for the response itself."""
    return () if path == "." else tuple(path.split("."))
