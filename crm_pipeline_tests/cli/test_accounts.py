import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import crm_pipeline.stages.raw
import crm_pipeline.store.postgres.database
from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.base import Checkup, Finding, ObjectInfo, Plan, Usage
from crm_pipeline.connectors.upkeep import DayLimit, Upkeep
from crm_pipeline.kernel.errors import AuthFailed, CrmError, NotPermitted, SecretMissing
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import Connection, ObjectSettings, Settings
from crm_pipeline_tests.cli.conftest import CONNECTIONS, Run

FIELDS = (Field("Id", "Contact ID", "id"), Field("Region__c", "Region", "picklist", custom=True))
HELD = {"Contact": 1234, "Lead": 5, "Invoice__c": 7, "Empty__c": 0}


@dataclass
class Org:
    """An account without a vendor."""

    findings: tuple[Finding, ...] = (Finding("ok", "login", "as integration@acme.example"),)
    day_limit: DayLimit | None = None
    connection: Connection | None = None
    usage = Usage(calls=0, used=None, allowed=None)

    def upkeep(self, obj: ObjectSettings) -> Upkeep:
        return Upkeep(probe=1, refresh=5)

    def check(self) -> Checkup:
        return Checkup("acme", self.findings)

    def objects(self) -> list[ObjectInfo]:
        return [ObjectInfo(n, n.rstrip("_c"), n.endswith("__c"), queryable=True) for n in HELD]

    def cursor_field(self, schema: Schema) -> str | None:
        return "SystemModstamp"

    def plan(self, obj: ObjectSettings, window: None) -> Plan:
        if obj.name not in HELD:
            raise NotPermitted(f"{obj.name} cannot be read by this user.", cure="Ask the admin.")
        schema = Schema(obj.name, obj.name, FIELDS)
        count = HELD[obj.name]
        return Plan(
            obj.name, None, "rest", "", schema, None, complete=True, vendor_count=count, calls=1
        )

    def preview(self, obj: str, rows: int) -> tuple[Schema, list[dict[str, Any]]]:
        if obj == "Secret__c":
            raise NotPermitted("Secret__c cannot be read.", cure="Grant Read on Secret__c.")
        self.plan(ObjectSettings(obj), None)
        return Schema(obj, obj, FIELDS), [{"Id": "003A", "Region__c": "EMEA"}] * rows


class AccountRegistry:
    """Stands in for PostgreSQL and the registry; `orgs` says what each connection opens as."""

    def __init__(self) -> None:
        self.orgs: dict[str, Org | CrmError] = {"acme": Org(), "demo": Org()}

    @contextlib.contextmanager
    def database(self, settings: Settings) -> Iterator[object]:
        yield object()

    @contextlib.contextmanager
    def opened(self, settings: Settings, name: str, database: object, **_: object) -> Iterator[Org]:
        org = self.orgs[name]
        if isinstance(org, CrmError):
            raise org
        org.connection = settings.connection(name)
        yield org


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> AccountRegistry:
    registry = AccountRegistry()
    monkeypatch.setattr(crm_pipeline.stages.raw, "opened", registry.opened)
    monkeypatch.setattr(crm_pipeline.store.postgres.database, "running_database", registry.database)
    return registry


def test_check_of_healthy_connections(run: Run, desk: AccountRegistry) -> None:
    """Healthy connections are listed with what was found; the exit code is 0."""
    result = run("check")
    assert result.exit_code == 0
    assert "acme" in result.stdout
    assert "as integration@acme.example" in result.stdout


def test_check_names_what_to_fix(run: Run, desk: AccountRegistry) -> None:
    """A failed finding makes the exit code 1 and comes with its cure; warnings do not fail."""
    desk.orgs["acme"] = Org(
        (Finding("fail", "permissions", "no API Enabled", "Grant API Enabled to the user."),)
    )
    desk.orgs["demo"] = Org((Finding("warn", "budget", "80 % spent", "Wait."),))

    result = run("check")
    assert result.exit_code == 1
    assert "Grant API Enabled" in result.stdout
    assert run("check", "demo").exit_code == 0


@pytest.mark.parametrize(
    ("written", "limit", "level", "words"),
    [
        # Two objects: 2,880 probes and 960 calls of refreshes a day.
        ("", None, "ok", "about 3,840 calls a day where nothing changes: a probe every 60 s"),
        ("", 100_000, "ok", "3.8% of the 100,000 a day"),
        (
            "",
            19_200,
            "ok",
            "a probe every 2 min (2 calls, stretched), a refresh every 30 min (10, stretched)",
        ),
        (
            "probe_every_s: 60",
            19_200,
            "warn",
            "a probe every 60 s (2 calls, as `probe_every_s` says), a refresh every 15 min (10, by default)",
        ),
    ],
)
def test_check_says_what_automation_costs(
    run: Run,
    desk: AccountRegistry,
    project: Path,
    written: str,
    limit: int | None,
    level: str,
    words: str,
) -> None:
    """A day at the configured pace against the limit; defaults are stretched, what was written is warned about."""
    text = CONNECTIONS.replace("    objects: [Account", f"    {written}\n    objects: [Account", 1)
    (project / "connections.yaml").write_text(text)
    desk.orgs["acme"] = Org(day_limit=DayLimit(limit, is_stated=True) if limit else None)
    [checkup] = json.loads(run("check", "acme", "--json").stdout)
    assert (checkup["findings"][-1]["level"], checkup["healthy"]) == (level, True)
    assert words in checkup["findings"][-1]["detail"]


@pytest.mark.parametrize(("value", "is_off"), [("off", True), ("", True), ("on", False)])
def test_check_says_whether_automation_runs(
    run: Run, desk: AccountRegistry, monkeypatch: pytest.MonkeyPatch, value: str, is_off: bool
) -> None:
    """While `CRM_AUTOMATION` is not `on`, the line says that nothing is spent."""
    monkeypatch.setenv("CRM_AUTOMATION", value)
    desk.orgs["acme"] = Org()
    [checkup] = json.loads(run("check", "acme", "--json").stdout)
    assert ("It is off" in checkup["findings"][-1]["detail"]) is is_off


@pytest.mark.parametrize(
    "error",
    [SecretMissing("ACME_SECRET", owner="acme"), AuthFailed("refused.", cure="Renew the secret.")],
)
def test_check_goes_on_with_the_others(run: Run, desk: AccountRegistry, error: CrmError) -> None:
    """A connection that cannot even be opened fails alone, with message and cure."""
    desk.orgs["acme"] = error
    result = run("check", "--json")
    acme, demo = json.loads(result.stdout)

    assert result.exit_code == 1
    assert acme["findings"][0]["detail"] == error.message
    assert acme["findings"][0]["cure"] == error.cure
    assert demo["healthy"]


def test_check_looks_at_the_mapping(run: Run, desk: AccountRegistry, project: Path) -> None:
    """A mapping to a column that does not exist is found by `check`, before any run."""
    text = CONNECTIONS.replace(
        "    objects: [Account, Contact]\n",
        "    objects: [Account, Contact]\n    mapping: {Contact: {Foo__c: titel}}\n",
        1,
    )
    (project / "connections.yaml").write_text(text)
    result = run("check", "acme", "--json")
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)[0]["findings"]
    assert "unknown column of contacts 'titel'" in finding["detail"]
    assert "Did you mean 'title'?" in finding["cure"]
    assert set(finding) == {"level", "what", "detail", "cure"}


def test_check_of_unknown_connection(run: Run, desk: AccountRegistry) -> None:
    """A connection that is not in the file is a usage error with a guess."""
    result = run("check", "acem")
    assert result.exit_code == 2
    assert "Did you mean 'acme'?" in result.stderr


def test_check_without_connections(run: Run, desk: AccountRegistry, project: Path) -> None:
    """An empty file is not a success."""
    (project / "connections.yaml").write_text("connections: {}\n")
    assert run("check").exit_code == 2


def test_preview(run: Run, desk: AccountRegistry) -> None:
    """The fields of an object are shown with type, label and values of the newest records."""
    text = run("preview", "acme", "Contact").stdout
    assert all(word in text for word in ("Region__c", "picklist", "Region", "EMEA"))

    shown = json.loads(run("preview", "acme", "Contact", "--rows", "2", "--json").stdout)
    assert [field["name"] for field in shown["fields"]] == ["Id", "Region__c"]
    assert len(shown["records"]) == 2


def test_preview_of_unknown_object(run: Run, desk: AccountRegistry) -> None:
    """The error for an unknown object lists the objects of the account."""
    result = run("preview", "acme", "Contcat")
    assert result.exit_code == 2
    assert "Did you mean 'Contact'?" in result.stderr


def test_preview_of_forbidden_object(
    run: Run, desk: AccountRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that is there but not permitted keeps the vendor's words and the cure."""
    monkeypatch.setitem(HELD, "Secret__c", 1)
    result = run("preview", "acme", "Secret__c")
    assert result.exit_code == 1
    assert "Grant Read on Secret__c" in result.stderr


def test_discover(run: Run, desk: AccountRegistry) -> None:
    """Objects are listed with counts and fields; one that cannot be read says why."""
    text = run("discover", "acme").stdout
    assert "1,234" in text
    assert "Account cannot be read" in text

    records = {
        entry["object"]: entry for entry in json.loads(run("discover", "acme", "--json").stdout)
    }
    assert records["Invoice__c"]["records"] == 7
    assert records["Contact"]["configured"]
    assert not records["Lead"]["configured"]
    assert records["Contact"]["fields"][1] == {
        "name": "Region__c",
        "label": "Region",
        "type": "picklist",
        "custom": True,
    }


def test_discover_writes_what_has_no_modification_time_as_a_snapshot(
    run: Run, desk: AccountRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes can be read: without a modification time an object has no windows."""
    monkeypatch.setattr(
        Org, "cursor_field", lambda _, schema: None if "__c" in schema.object else "at"
    )
    assert run("discover", "acme", "--write").exit_code == 0
    written = {o.name: o.snapshot for o in load_settings().connection("acme").objects}
    assert written == {"Account": None, "Contact": None, "Lead": None, "Invoice__c": True}


@pytest.mark.parametrize("connection", ["acme", "demo"])
def test_discover_writes_what_is_missing(
    run: Run, desk: AccountRegistry, project: Path, connection: str
) -> None:
    """--write adds readable objects, no empty custom ones, and keeps the rest of the file."""
    result = run("discover", connection, "--write")
    assert result.exit_code == 0

    objects = [o.name for o in load_settings().connection(connection).objects]
    assert objects[:2] == ["Account", "Contact"]
    assert set(objects[2:]) == {"Lead", "Invoice__c"}
    assert "# people" in (project / "connections.yaml").read_text()
    other = "demo" if connection == "acme" else "acme"
    assert len(load_settings().connection(other).objects) == 2

    before = (project / "connections.yaml").read_text()
    assert "nothing to add" in run("discover", connection, "--write").stderr
    assert (project / "connections.yaml").read_text() == before


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ("[]", ["X__c", "Lead"]),
        ("[Account]", ["Account", "X__c", "Lead"]),
        ("{Account: {route: bulk}}", ["Account", "X__c", "Lead"]),
        ("[Account: {exclude: [Fax, 'a: b'], hash: [Id__c]}]", ["Account", "X__c", "Lead"]),
        (
            "\n      Account:\n      Contact: {route: bulk}  # big\n",
            ["Account", "Contact", "X__c", "Lead"],
        ),
        ("\n      Account:\n        route: rest", ["Account", "X__c", "Lead"]),
        ("\n    - Account\n\n    # the end", ["Account", "X__c", "Lead"]),
    ],
)
def test_objects_are_added_in_the_form_that_is_there(
    project: Path, objects: str, expected: list[str]
) -> None:
    """Lists and mappings, in brackets or by line, are extended without losing options or comments."""
    from crm_pipeline.settings.document import Document
    from crm_pipeline.settings.editing import with_objects

    path = project / "connections.yaml"
    path.write_text(CONNECTIONS.replace("[Account, Contact]", objects))
    before = load_settings().connection("acme").objects
    path.write_text(with_objects(Document.read(path), "acme", ["X__c", "Lead"]))

    after = load_settings()
    assert [o.name for o in after.connection("acme").objects] == expected
    assert after.connection("acme").objects[: len(before)] == before
    assert path.read_text().count("#") == CONNECTIONS.replace("[Account, Contact]", objects).count(
        "#"
    )
