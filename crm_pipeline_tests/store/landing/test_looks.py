"""Results of the last looks, stored for every process to read, and the freshness derived from them."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import FrozenClock, Month, Window, parse_instant
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import AuthSettings, Connection, ObjectSettings
from crm_pipeline.stages.published import freshness_words, is_fresh
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness, covered, freshness_of
from crm_pipeline.store.landing.looks import ConnectionLooks, Look, Looks
from crm_pipeline.store.landing.window import Counts

START = parse_instant("2026-11-23T10:00:00Z")
HIDDEN = NotPermitted("Lead is hidden; token=abcdefgh.", cure="Grant it.")
ACME = Connection(
    name="acme",
    vendor="salesforce",
    login_url="https://acme.my.salesforce.com",
    auth=AuthSettings("client_credentials", {}),
    objects=(ObjectSettings("Contact"), ObjectSettings("Lead")),
    start=Month(2018, 1),
    cadence="*/15 * * * *",
    probe_every_s=60,
    lookback_s=600,
    share=0.9,
    limit_group="acme",
    api_version=None,
    sandbox=False,
    mapping={},
)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(START)


@pytest.fixture
def looks(tmp_path: Path, clock: FrozenClock) -> Looks:
    return Looks(tmp_path, clock)


def test_an_error_lasts_from_its_first_time_to_the_next_good_look(
    looks: Looks, clock: FrozenClock
) -> None:
    """A failure has its start, a redacted text and the cure; a successful probe ends it."""
    for _ in range(2):
        looks.probed("acme", {"Contact": clock.now()}, {"Lead": HIDDEN})
        clock.advance(60)
    lead = looks.at("acme").of("Lead")
    assert (lead.failing_since, lead.failed_at) == (START, START + timedelta(minutes=1))
    assert lead.error == "Lead is hidden; token=*** Grant it."
    assert (lead.good_at, lead.current_at) == (None, None)
    looks.probed("acme", {"Lead": None}, {})
    lead = looks.at("acme").of("Lead")
    assert (lead.error, lead.failing_since) == ("", None)
    assert (lead.good_at, lead.current_at) == (clock.now(), None), "something has changed"


def test_only_a_read_proves_that_an_object_can_be_read(looks: Looks, clock: FrozenClock) -> None:
    """A failed read is not ended by a successful probe."""
    looks.failed("acme", "Lead", HIDDEN, run="r1")
    looks.probed("acme", {}, {"Lead": HIDDEN})
    looks.probed("acme", {"Lead": clock.now()}, {})
    assert looks.at("acme").of("Lead").during == "read"
    looks.was_read("acme", "Lead", START, run="r2")
    lead = looks.at("acme").of("Lead")
    assert (lead.error, lead.tried_in, lead.current_at) == ("", "r2", START)


@pytest.mark.parametrize(
    ("failed_for_s", "waits_s"), [(0, 60), (60, 60), (240, 240), (3_000, 3_000), (90_000, 3_600)]
)
def test_a_failing_object_is_left_alone_for_as_long_as_it_failed(
    failed_for_s: int, waits_s: int
) -> None:
    """The pauses double, from one minute to one hour."""
    failed_at = START + timedelta(seconds=failed_for_s)
    look = Look(error="gone", failing_since=START, failed_at=failed_at, during="probe")
    assert look.is_waiting(failed_at + timedelta(seconds=waits_s - 6))
    assert not look.is_waiting(failed_at + timedelta(seconds=waits_s - 4)), "ticks come early"


def test_what_probes_met_is_left_to_probes(looks: Looks, clock: FrozenClock) -> None:
    """At the end of a pause a schedule leaves an object that failed in a probe to the sensor, not one that failed in a read."""
    looks.probed("acme", {}, {"Lead": HIDDEN})
    looks.failed("acme", "Contact", HIDDEN)
    clock.advance(61)
    states, names = looks.at("acme"), ["Contact", "Lead"]
    assert states.waiting(names, clock.now()) == []
    assert states.waiting(names, clock.now(), timedelta(minutes=15)) == ["Lead"]
    clock.advance(900)
    assert states.waiting(names, clock.now(), timedelta(minutes=15)) == []


def test_looks_of_two_processes_do_not_overwrite_each_other(
    looks: Looks, tmp_path: Path, clock: FrozenClock
) -> None:
    """Each change is applied to the current file on disk."""

    def read(name: str) -> None:
        Looks(tmp_path, clock).was_read("acme", name, START)

    threads = [threading.Thread(target=read, args=(f"Object{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looks.at("acme").objects) == 8


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"objects": 1}', '{"objects": {"A": {"good_at": 7}}}']
)
def test_a_damaged_file_is_begun_anew(looks: Looks, tmp_path: Path, text: str) -> None:
    """Nothing depends on the file: the next looks fill it again."""
    path = tmp_path / "looks" / "acme.json"
    path.parent.mkdir()
    path.write_text(text)
    damaged = looks.at("acme")
    assert damaged == ConnectionLooks(damage=damaged.damage)
    assert f"{path} is damaged" in damaged.damage
    looks.paced("acme", None, None)
    assert looks.at("acme") == ConnectionLooks()
    path.write_text(text)
    looks.was_read("acme", "Lead", START)
    assert (set(looks.at("acme").objects), looks.at("acme").damage) == ({"Lead"}, "")


def test_keys_of_other_versions_are_passed_over(looks: Looks, tmp_path: Path) -> None:
    """A file with unknown or missing keys is read."""
    looks.was_read("acme", "Lead", START)
    path = tmp_path / "looks" / "acme.json"
    record = json.loads(path.read_text())
    record["objects"]["Lead"] |= {"mood": "good"}
    path.write_text(json.dumps({"objects": record["objects"], "more": 1}))
    assert looks.at("acme").of("Lead").read_at == START


def test_a_disk_that_is_full_does_not_fail_a_look(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read succeeds whether or not its look can be written."""
    monkeypatch.setattr(files, "write_json", _full)
    looks.was_read("acme", "Lead", START)
    assert looks.at("acme") == ConnectionLooks()


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def at(day: int) -> "FrozenClock":
    return FrozenClock(parse_instant(f"2026-11-{day:02}T00:00:00Z"))


def span(first: int | None, last: int) -> Window:
    return Window(at(first).now() if first else None, at(last).now())


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], None),
        ([span(None, 5)], span(None, 5)),
        ([span(3, 5), span(None, 4)], span(None, 5)),
        # What comes after a gap does not count, where there is a beginning.
        ([span(None, 5), span(7, 9)], span(None, 5)),
        ([span(3, 5), span(5, 6)], span(3, 6)),
        ([span(3, 9), span(4, 5), span(12, 13), span(13, 20)], span(12, 20)),
    ],
)
def test_which_span_has_been_read(windows: list[Window], expected: Window | None) -> None:
    """The gap-free union from the beginning, or the latest one."""
    assert covered(windows) == expected


def landed(landing: Landing, obj: str, window: Window) -> None:
    schema = Schema(obj, obj, (Field("Id", "Id", "id"),))
    with landing.begin("acme", obj, window, schema) as writer:
        writer.commit(Counts(route="rest", calls=4))


def fresh(root: Path, clock: FrozenClock, looks: ConnectionLooks) -> dict[str, Freshness]:
    states = freshness_of(ACME, Landing(root, clock), looks, clock.now())
    return {obj.object: obj for obj in states}


def test_how_fresh_objects_are(tmp_path: Path, clock: FrozenClock) -> None:
    """Without looks, as older versions left it, freshness comes from landing alone; a never-read object is unread."""
    landing = Landing(tmp_path, clock)
    landed(landing, "Contact", Window(parse_instant("2026-08-01T00:00:00Z"), START))
    states = fresh(tmp_path, clock, ConnectionLooks())
    contact, lead = states["Contact"], states["Lead"]
    assert (contact.state, contact.is_whole, contact.read_to) == ("current", False, START)
    assert contact.history_from == parse_instant("2026-08-01T00:00:00Z")
    assert contact.behind_s(clock.now()) == 0
    assert (lead.state, lead.behind_s(clock.now())) == ("unread", None)


@pytest.mark.parametrize(
    ("passed_s", "stretched_s", "is_late"),
    [(1_800, None, False), (3_600, None, True), (3_600, 7_200.0, False), (20_000, 7_200.0, True)],
)
def test_an_object_is_late_after_two_reads_that_did_not_come(
    tmp_path: Path, clock: FrozenClock, passed_s: int, stretched_s: float | None, is_late: bool
) -> None:
    """An object is late by its cadence or the stretched one; a look without changes counts like a read."""
    landed(Landing(tmp_path, clock), "Contact", Window(None, START))
    clock.advance(passed_s)
    looks = ConnectionLooks(refresh_every_s=stretched_s)
    assert fresh(tmp_path, clock, looks)["Contact"].is_late is is_late
    quiet = replace(looks, objects={"Contact": Look().answered(clock.now(), clock.now())})
    assert not fresh(tmp_path, clock, quiet)["Contact"].is_late


def test_a_damaged_commit_is_that_objects_affair(tmp_path: Path, clock: FrozenClock) -> None:
    """The object is failing, the others are reported as usual."""
    landed(Landing(tmp_path, clock), "Contact", Window(None, START))
    (commit,) = tmp_path.glob("landing/acme/Contact/windows/*.json")
    commit.write_text("{")
    states = fresh(tmp_path, clock, ConnectionLooks())
    assert {name: obj.state for name, obj in states.items()} == {
        "Contact": "failing",
        "Lead": "unread",
    }


def test_a_watermark_that_is_not_believed_is_no_freshness(
    tmp_path: Path, clock: FrozenClock
) -> None:
    """A window that ends in the future counts up to when it was read."""
    landed(Landing(tmp_path, clock), "Contact", Window(None, START + timedelta(days=1)))
    assert fresh(tmp_path, clock, ConnectionLooks())["Contact"].read_to == START


def test_a_read_behind_a_gap_makes_nothing_current(looks: Looks) -> None:
    """A backfill of old months says nothing about the present."""
    looks.was_read("acme", "Contact", None)
    look = looks.at("acme").of("Contact")
    assert (look.current_at, look.read_at) == (None, START)


def test_what_a_fast_clock_noted_is_cut_to_the_present(tmp_path: Path, clock: FrozenClock) -> None:
    """After our own clock ran a month ahead, the object is tried again when it is due, and can be late."""
    ahead = FrozenClock(START + timedelta(days=30))
    Looks(tmp_path, ahead).failed("acme", "Contact", ValueError("gone"))
    Looks(tmp_path, ahead).probed("acme", {"Lead": clock.now()}, {})
    states = Looks(tmp_path, clock).at("acme")
    assert states.probed_at == states.of("Lead").current_at == START
    assert states.of("Contact").next_try_at == START + timedelta(minutes=1)


def test_damaged_notes_leave_every_object_unknown(tmp_path: Path, clock: FrozenClock) -> None:
    """No object passes for fresh, and the check says why."""
    landed(Landing(tmp_path, clock), "Contact", Window(None, START))
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "acme.json").write_text("{")
    rows = fresh(tmp_path, clock, Looks(tmp_path, clock).at("acme"))
    assert {row.state for row in rows.values()} == {"unknown"}
    assert not any(is_fresh(row) for row in rows.values())
    assert all("acme.json is damaged" in freshness_words(row) for row in rows.values())
