from datetime import UTC, datetime, timedelta

import pytest

from crm_sandbox_tests.conftest import NOW

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def changed(own):
    own.sandbox.clock.stand_at(LATER)
    return own


def stamps(rows) -> set[str]:
    return {row["update_time"] for row in rows}


def test_edit(changed) -> None:
    """An edit shows, and moves the stamp to the present or to the one that was ordered."""
    code = changed.code("persons", "Score")
    changed.truth.edit("persons", 1, name="Emmy Noether", Score=7.5)
    row = changed.data("/api/v2/persons/1")
    assert (row["name"], row["last_name"]) == ("Emmy Noether", "Noether")
    assert (row["custom_fields"][code], row["update_time"]) == (7.5, f"{LATER:%Y-%m-%dT%H:%M:%SZ}")
    old = datetime(2020, 1, 1, tzinfo=UTC)
    changed.truth.edit("persons", 2, stamp=old, job_title="CEO")
    assert changed.data("/api/v2/persons/2")["update_time"] == "2020-01-01T00:00:00Z"
    with pytest.raises(KeyError):
        changed.truth.edit("persons", 99_999, name="x")
    with pytest.raises(ValueError, match="shoe"):
        changed.truth.edit("persons", 1, shoe=1)


def test_formula_change(changed) -> None:
    """A recalculated value moves no stamp and leaves no history."""
    before = changed.data("/api/v2/deals/1")
    history = changed.data("/v1/deals/1/changelog")
    changed.truth.formula_change("deals", 1, Margin=99.5)
    row = changed.data("/api/v2/deals/1")
    assert row["custom_fields"][changed.code("deals", "Margin")] == 99.5
    assert row["update_time"] == before["update_time"]
    assert changed.data("/v1/deals/1/changelog") == history


def test_create(changed) -> None:
    """A created record is on the list; with an older stamp it is a late commit."""
    for name, fields in (
        ("persons", {"name": "Emmy"}),
        ("organizations", {"name": "Göttingen"}),
        ("deals", {"title": "x", "value": 5.0}),
        ("products", {"name": "x"}),
        ("activities", {"subject": "x"}),
        ("notes", {"content": "x"}),
        ("leads", {"title": "x"}),
    ):
        before = changed.truth.count(name)
        number = changed.truth.create(name, stamp="2026-01-01T00:00:00+00:00", **fields)
        assert changed.truth.count(name) == before + 1
        row = next(one for one in changed.truth.rows(name) if one["id"] == number)
        assert row["update_time"] == datetime(2026, 1, 1)  # noqa: DTZ001 - the tables hold naive UTC
    assert "Emmy" in {row["name"] for row in changed.every("/persons")}
    assert any(row["title"] == "x" for row in changed.every_v1("/v1/leads"))
    assert any(row["content"] == "x" for row in changed.every_v1("/v1/notes"))


@pytest.mark.parametrize("name", ["persons", "deals", "notes", "leads", "activities"])
def test_delete_and_restore(changed, name: str) -> None:
    """A deletion can be taken back, and then looks like any other change; a hard one cannot."""
    before = changed.truth.count(name)
    record = changed.truth.rows(name)[0]["id"]
    changed.truth.delete(name, record)
    assert changed.truth.count(name) == before - 1
    assert changed.truth.count(name, include_deleted=True) >= before
    changed.truth.restore(name, record)
    since = changed.truth.rows(name, since=LATER)
    assert [row["id"] for row in since] == [record]
    changed.truth.hard_delete(name, record)
    assert changed.truth.count(name) == before - 1
    with pytest.raises(KeyError):
        changed.truth.hard_delete(name, record)


def test_merge(changed) -> None:
    """A merge behind the API's back is like one through it."""
    changed.truth.merge("persons", 1, 2)
    assert changed.data("/api/v2/persons/2")["is_deleted"]
    assert changed.data("/api/v2/persons/1")["update_time"] == f"{LATER:%Y-%m-%dT%H:%M:%SZ}"
    with pytest.raises(ValueError, match="itself"):
        changed.truth.merge("persons", 1, 1)
    with pytest.raises(ValueError, match="cannot be merged"):
        changed.truth.merge("products", 1, 2)


def test_field_changes(changed) -> None:
    """Statement 15: between two runs a field is renamed, another goes, one comes; keys stay, stamps too."""
    before = changed.every("/persons")
    code, gone = changed.code("persons", "Score"), changed.code("persons", "Legacy code")
    changed.truth.rename_field("persons", "Score", "Points")
    changed.truth.remove_field("persons", "Legacy code")
    fresh = changed.truth.add_field("persons", "Region", "varchar", "North")
    names = {one["field_code"]: one["field_name"] for one in changed.every("/personFields")}
    assert names[code] == "Points"
    assert names[fresh] == "Region"
    assert gone not in names
    after = changed.every("/persons")
    assert all(gone not in row["custom_fields"] for row in after)
    assert {row["custom_fields"][fresh] for row in after} == {"North"}
    assert [row["update_time"] for row in after] == [row["update_time"] for row in before]
    assert len(fresh) == 40


def test_option_changes(changed) -> None:
    """Statement 15: options are renamed under their id and removed from records without a new stamp."""
    code = changed.code("persons", "Tier")
    before = changed.every("/persons")
    options = {o["label"]: o["id"] for o in changed.data(f"/api/v2/personFields/{code}")["options"]}
    changed.truth.rename_option("persons", "Tier", "Gold", "Platinum")
    changed.truth.remove_option("persons", "Tier", "Bronze")
    added = changed.truth.add_option("persons", "Tier", "Iron")
    now = {o["label"]: o["id"] for o in changed.data(f"/api/v2/personFields/{code}")["options"]}
    assert now["Platinum"] == options["Gold"]
    assert "Bronze" not in now
    assert now["Iron"] == added
    after = changed.every("/persons")
    assert any(row["custom_fields"][code] == options["Bronze"] for row in before)
    assert not any(row["custom_fields"][code] == options["Bronze"] for row in after)
    assert [row["update_time"] for row in after] == [row["update_time"] for row in before]
    older = next(one for one in changed.every_v1("/v1/personFields") if one["key"] == code)
    assert older["options_deleted"] == [{"id": options["Bronze"], "label": "Bronze"}]
    interests = changed.code("persons", "Interests")
    changed.truth.remove_option("persons", "Interests", "Analytics")
    assert all(row["custom_fields"][interests] != [] for row in changed.every("/persons"))


def test_hidden_and_retyped(changed) -> None:
    """A field can be out of sight for a while, or change its type under the same key."""
    code = changed.code("persons", "Score")
    before = [row["custom_fields"][code] for row in changed.every("/persons")]
    changed.truth.hide_field("persons", "Score")
    assert code not in changed.data("/api/v2/persons/1")["custom_fields"]
    assert code not in {one["field_code"] for one in changed.every("/personFields")}
    changed.truth.hide_field("persons", "Score", hidden=False)
    assert [row["custom_fields"][code] for row in changed.every("/persons")] == before
    changed.truth.retype_field("persons", "Score", "varchar")
    values = [row["custom_fields"][code] for row in changed.every("/persons")]
    assert {type(value) for value in values} == {str, type(None)}
    assert changed.data(f"/api/v2/personFields/{code}")["field_type"] == "varchar"
    with pytest.raises(ValueError, match="plain"):
        changed.truth.retype_field("persons", "Interests", "varchar")


def test_in_another_company(changed) -> None:
    """Every change takes the company that it happens in."""
    changed.truth.edit("persons", 1, name="Only there", account="second")
    assert changed.data("/api/v2/persons/1")["name"] != "Only there"
    rows = changed.truth.rows("persons", account="second", limit=1)
    assert rows[0]["name"] == "Only there"


def test_over_http(changed) -> None:
    """The same changes are there over the admin API."""
    body = {"name": "persons", "fields": {"name": "Emmy"}}
    number = changed.admin("/pipedrive/create", body).json()["result"]
    edit = {"name": "persons", "record": number, "fields": {"name": "Amalie"}}
    assert changed.admin("/pipedrive/edit", edit).status_code == 200
    assert changed.data(f"/api/v2/persons/{number}")["name"] == "Amalie"
    where = {"name": "persons", "record": number}
    for action in ("delete", "restore", "hard_delete"):
        assert changed.admin(f"/pipedrive/{action}", where).status_code == 200
    assert changed.admin("/pipedrive/edit", edit).status_code == 404
    add = {"name": "deals", "field": "Region", "kind": "enum", "labels": ["N", "S"]}
    code = changed.admin("/pipedrive/add_field", add).json()["result"]
    assert len(changed.data(f"/api/v2/dealFields/{code}")["options"]) == 2
    assert changed.admin("/pipedrive/add_field", {**add, "kind": "shoe"}).status_code == 400


def test_fields_through_the_api(own) -> None:
    """Statement 15: fields and options are made, renamed and removed through v2; keys are 40-hex."""
    body = {
        "field_name": "Region",
        "field_type": "enum",
        "options": [{"label": "N"}, {"label": "S"}],
    }
    field = own.post("/api/v2/personFields", body).json()["data"]
    code = field["field_code"]
    assert len(code) == 40
    north = field["options"][0]["id"]
    made = own.post("/api/v2/persons", {"name": "x", "custom_fields": {code: north}}).json()["data"]
    path = f"/api/v2/personFields/{code}"
    assert own.patch(path, {"field_name": "Area"}).json()["data"]["field_name"] == "Area"
    more = own.post(f"{path}/options", [{"label": "E"}]).json()["data"]
    renamed = own.patch(f"{path}/options", [{"id": north, "label": "North"}])
    assert renamed.json()["data"] == [{"id": north, "label": "North"}]
    both = [{"id": more[0]["id"], "label": "East"}, {"id": 1, "label": "x"}]
    assert own.patch(f"{path}/options", both).status_code == 400
    labels = {one["label"] for one in own.data(path)["options"]}
    assert labels == {"North", "S", "E"}
    sent = own.http.delete(f"{own.root}{path}/options", json=[{"id": north}])
    assert sent.json()["data"] == [{"id": north, "label": "North"}]
    assert own.data(f"/api/v2/persons/{made['id']}")["custom_fields"][code] is None
    assert own.delete(path).json()["data"]["field_code"] == code
    assert code not in own.data(f"/api/v2/persons/{made['id']}")["custom_fields"]
    assert own.v2(f"/personFields/{code}").status_code == 404
    assert own.delete("/api/v2/personFields/name").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"field_name": "x", "field_type": "shoe"},
        {"field_name": "x", "field_type": "enum"},
        {"field_name": "x", "field_type": "varchar", "options": [{"label": "a"}]},
        {"field_type": "varchar"},
    ],
)
def test_refused_fields(main, body: dict[str, object]) -> None:
    """Statement 15: an unknown type, an enum without options and options elsewhere are refused."""
    assert main.post("/api/v2/personFields", body).status_code == 400


def test_fields_through_v1(own) -> None:
    """Statement 15: v1 addresses fields by number, and takes all options at once."""
    body = {"name": "Region", "field_type": "enum", "options": [{"label": "N"}, {"label": "S"}]}
    field = own.post("/v1/dealFields", body).json()["data"]
    path = f"/v1/dealFields/{field['id']}"
    north = field["options"][0]
    options = [{**north, "label": "North"}, {"label": "W"}]
    changed = own.put(path, {"name": "Area", "options": options}).json()["data"]
    assert (changed["name"], [o["label"] for o in changed["options"]]) == ("Area", ["North", "W"])
    assert own.delete(path).json()["data"] == {"id": field["id"]}
    assert own.get(path).status_code == 404
