import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from crm_pipeline.kernel.change_kinds import ChangeKind
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import ConfigError, CorruptFile
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.store.drift import Change, Register
from crm_pipeline.store.drift.change import Policy
from crm_pipeline.store.drift.register import Noticed


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path, FrozenClock("2026-11-24T08:00Z"))


def fact(
    kind: ChangeKind = "removed", field: str = "Fax", old: str = "a", new: str = "b"
) -> FieldChange:
    return FieldChange("Contact", field, kind, old, new, f"Contact.{field}: {kind}")


def note(
    register: Register, *facts: FieldChange, policy: Policy = "warn", origin: str = "1 to 2"
) -> list[Change]:
    return register.note(
        "acme", [Noticed(each, {}) for each in facts], lambda _: policy, origin=origin
    )


def test_a_change_stays_open_until_somebody_decides(register: Register) -> None:
    """It is seen again by later reads under the same number, and is closed by a person alone."""
    [first] = note(register, fact())
    register.clock.advance(3600)  # type: ignore[attr-defined]
    [again] = note(register, replace(fact(), text="now in 9 records"), origin="2 to 3")
    assert (first.number, again.number, again.state) == (1, 1, "open")
    assert again.text == "now in 9 records"
    assert (again.seen_at, again.last_seen_at) == (first.seen_at, register.clock.now())
    register.decide(1, "accepted")
    assert register.open("acme", "Contact") == []
    assert [(c.state, c.decided_by) for c in register.all()] == [("accepted", "person")]


def test_one_event_is_noted_once(register: Register) -> None:
    """A process that died after noting notes the same event again: decided changes are not opened anew."""
    note(register, fact())
    register.decide(1, "ignored")
    assert [change.number for change in note(register, fact())] == [1]
    assert [change.state for change in register.all()] == ["ignored"]
    # The same change of a later description is another one.
    assert [change.number for change in note(register, fact(), origin="5 to 6")] == [2]


def test_what_loses_nothing_is_taken_over(register: Register) -> None:
    """A change of policy `evolve` is in the register, and waits for nobody."""
    [change] = note(register, fact("added"), policy="evolve")
    assert (change.state, change.decided_by, change.is_blocking) == ("accepted", "policy", False)


def test_an_undone_change_is_resolved(register: Register) -> None:
    """A field that is back, and a type that is as before, need no decision."""
    note(register, fact("removed", "Fax"), fact("retyped", "Age", "int", "string"), policy="block")
    assert [change.is_blocking for change in register.all()] == [True, True]
    note(register, fact("added", "Fax"), policy="evolve", origin="2 to 3")
    note(register, fact("retyped", "Age", "string", "int"), origin="2 to 3")
    assert [(c.field, c.kind, c.state) for c in register.all()] == [
        ("Fax", "removed", "resolved"),
        ("Age", "retyped", "resolved"),
        ("Fax", "added", "accepted"),
    ]


def test_numbers_are_given_once(register: Register) -> None:
    """Runs of several connections note changes at the same time."""
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda n: note(register, fact(field=f"F{n}"))[0].number, range(24))
    assert sorted(made) == list(range(1, 25))


def test_an_unknown_number_is_refused(register: Register) -> None:
    """The text names the changes that are open."""
    note(register, fact())
    with pytest.raises(ConfigError, match=r"there is no change 7\. Open are: 1;"):
        register.decide(7, "accepted")


@pytest.mark.parametrize("text", ["{", "[]", '{"number": 1}', '{"number": 1, "seen_at": "never"}'])
def test_a_damaged_file_is_named(register: Register, text: str) -> None:
    """What was decided is not forgotten in silence."""
    note(register, fact())
    path = register.folder / "0000001.json"
    path.write_text(json.dumps(text) if text == "[]" else text)
    with pytest.raises(CorruptFile, match=r"0000001\.json is damaged.*Move it away"):
        register.all()


def test_a_damaged_file_stops_only_its_own_connection(register: Register) -> None:
    """Others go on where what is left of it says whose it was; nothing is noted or read in silence otherwise."""
    note(register, fact())
    path = register.folder / "0000001.json"
    path.write_bytes(path.read_bytes().replace(b"removed", b"rem\xffved"))
    with pytest.raises(CorruptFile, match=r"0000001\.json is damaged.*Move it away"):
        note(register, fact())
    with pytest.raises(CorruptFile):
        register.open("acme", "Contact")
    noticed = [Noticed(fact(), {})]
    [other] = register.note("beta", noticed, lambda _: "warn", origin="1 to 2")
    assert (other.number, register.open("beta", "Contact")) == (2, [other])
    assert register.readable() == [other]
    path.write_bytes(b"")
    with pytest.raises(CorruptFile):
        register.open("beta", "Contact")


def test_a_decision_that_is_made_meanwhile_is_kept(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has read the register does not open again what a person accepts before it writes."""
    note(register, fact())
    known = register.all()
    register.decide(1, "accepted")
    monkeypatch.setattr(register, "of_connection", lambda _: known)
    assert [change.state for change in note(register, fact(), origin="2 to 3")] == ["accepted"]
    assert [change.state for change in register.all()] == ["accepted"]
