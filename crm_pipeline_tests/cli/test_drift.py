"""`drift`: what it lists, and what a decision writes."""

import json
from pathlib import Path

import pytest

from crm_pipeline.kernel.change_kinds import ChangeKind
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.store.drift import Register
from crm_pipeline.store.drift.register import Noticed
from crm_pipeline_tests.cli.conftest import Run

EVIDENCE = {"records_compared": 20, "records_with_the_same_value": 19}


@pytest.fixture
def register(project: Path) -> Register:
    return Register(project / "data")


def note(register: Register, field: str, kind: ChangeKind = "removed", proposal: str = "") -> int:
    """Note a change of the demo's contacts; return its number."""
    fact = FieldChange("Contact", field, kind, "'Phone', phone", "", f"Contact.{field} is gone")
    evidence = EVIDENCE if proposal else {}
    noticed = [Noticed(fact, evidence, proposal)]
    [change] = register.note("demo", noticed, lambda _: "warn", origin="1 to 2")
    return change.number


def test_open_changes_are_listed_with_what_shows_them(run: Run, register: Register) -> None:
    """One line each, the evidence, and the line that accepting writes; decided ones only with --all."""
    number = note(register, "Phone", proposal="Phone_Work__c")
    note(register, "Fax")
    register.decide(2, "ignored")
    output = run("drift").output
    assert f"[{number}] demo: Contact.Phone is gone (removed, since " in output
    assert "evidence: records compared 20, records with the same value 19" in output
    assert (
        "`crm-pipeline drift accept 1` writes `mapping: {Contact: {Phone_Work__c: phone}}`"
        in output
    )
    assert "Fax" not in output
    assert "Contact.Fax is gone (removed" in run("drift", "show", "demo", "--all").output
    rows = json.loads(run("drift", "show", "--json").output)
    assert [(row["number"], row["state"]) for row in rows] == [(1, "open")]


def test_nothing_open_is_said(run: Run, register: Register) -> None:
    assert run("drift").output == "No changed field waits for a decision.\n"


@pytest.mark.parametrize(
    "own",
    ["", "    mapping: {}\n", "    mapping: {Contact: {Region__c: department}}\n", "    mapping:\n      Contact:\n        Region__c: department # ours\n",
     "    mapping:\n      Account:\n        Tier__c: industry\n"],
)  # fmt: skip
def test_accepting_a_rename_writes_the_mapping(
    run: Run, register: Register, project: Path, own: str
) -> None:
    """Whatever form the mapping has in the file, the field is added to it, and all else stays."""
    from crm_pipeline.configuration import load_settings

    file = project / "connections.yaml"
    lines = file.read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("  demo:")) + 1
    file.write_text("".join([*lines[:at], own, *lines[at:]]))
    before = load_settings(project, {}).connections["demo"].mapping
    note(register, "Phone", proposal="Phone_Work__c")
    done = run("drift", "accept", "1")
    assert done.exit_code == 0, done.output
    assert "under demo: `mapping: {Contact: {Phone_Work__c: phone}}`" in done.output
    after = load_settings(project, {}).connections["demo"].mapping
    contact = {**before.get("Contact", {}), "Phone_Work__c": "phone"}
    assert after == {**before, "Contact": contact}
    assert all(line.strip() in file.read_text() for line in lines)
    assert [change.state for change in register.all()] == ["accepted"]


def test_what_cannot_be_decided_is_refused(run: Run, register: Register) -> None:
    """A number that is not there, and a change that is decided already."""
    note(register, "Fax")
    assert "there is no change 9. Open are: 1" in run("drift", "accept", "9").output
    assert run("drift", "ignore", "1").exit_code == 0
    again = run("drift", "accept", "1")
    assert (again.exit_code, "change 1 is ignored already" in again.output) == (2, True)


def test_a_successor_that_is_mapped_otherwise_is_not_overwritten(
    run: Run, register: Register, project: Path
) -> None:
    """The user's own line stands, and the change stays open."""
    file = project / "connections.yaml"
    text = file.read_text()
    file.write_text(text.replace("  demo:\n", "  demo:\n    mapping: {Contact: {New__c: title}}\n"))
    note(register, "Phone", proposal="New__c")
    done = run("drift", "accept", "1")
    assert "maps Contact.New__c to title" in done.output
    assert [change.is_open for change in register.all()] == [True]


def test_a_damaged_file_is_said_and_stops_only_what_it_is_about(
    run: Run, register: Register
) -> None:
    """`status` goes on and says so for its connection, once for all is known of it; `drift` names the file and the cure."""
    number = note(register, "Phone")
    path = register.folder / f"{number:07}.json"
    path.write_bytes(path.read_bytes()[:-30])
    shown = run("status")
    text = " ".join(shown.output.split())
    assert "is damaged" in text
    assert "Move it away" in text
    assert "Traceback" not in text
    listed = run("drift")
    assert (listed.exit_code, "is damaged" in listed.output) == (1, True)
