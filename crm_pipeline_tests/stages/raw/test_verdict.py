"""Whole reads compared with those before them: which are the same, which are believed, which are not."""

import json
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from crm_pipeline.connectors.base import Page
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw import remarks_of, shrink_text
from crm_pipeline.stages.raw.permissions import initial_sight, sight_of
from crm_pipeline.stages.raw.snapshot import Verdict, evaluate_snapshot
from crm_pipeline.store import files
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts

OWNERS = Schema("owners", "Owners", (Field("id", "Id", "string"),))
MAP = ObjectMap("owners", "users", (FieldMap("id", "source_id"),))
ALL = range(100)
NAMED = Reject("no reader knew it", b'{"id": 4}', "4")
NAMELESS = Reject("the record is no JSON", b'{"x": 1')


class Rules:
    """A connector's rules; `knows` says whether they can read the quarantined records."""

    version = 2

    def of(self, obj: str, schema: Schema, raw: pa.RecordBatch, **_: Any) -> pa.RecordBatch:
        seen = [json.loads(text) for text in raw.column("record").to_pylist()]
        return keyed([one["id"] for one in seen])


def keyed(ids: Iterable[int]) -> pa.RecordBatch:
    keys = [str(one) for one in ids]
    columns = [
        pa.array(keys, pa.string()),
        pa.nulls(len(keys), records.TIMESTAMP),
        pa.array([False] * len(keys), pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(records.KEY_COLUMNS))


class Login:
    """An account that sees `visible`, and counts how often it is asked."""

    connection = SimpleNamespace(name="acme", cadence="*/15 * * * *")

    def __init__(self, visible: str = "all") -> None:
        self.visible = visible
        self.asked = 0

    def read(self, *_: Any) -> Iterator[Page]:
        """Return no page: the vendor says nothing about single records."""
        return iter(())

    def sight(self) -> str:
        self.asked += 1
        return self.visible

    def check(self) -> Any:
        return SimpleNamespace(findings=())


@pytest.fixture
def owners(org):
    """An account whose owners are read whole."""
    org.maps = (MAP,)
    org.objects["acme"] = {"owners"}
    return org


def task_of(org: Any, login: Any) -> Any:
    return SimpleNamespace(
        landing=org.landing,
        connection="acme",
        obj=SimpleNamespace(name="owners"),
        bounds=ShrinkBounds(),
        account=login,
    )


def read(
    org: Any,
    *,
    rejects: Sequence[Reject] = (),
    login: Login | None = None,
    **parts: Iterable[int],
) -> Verdict:
    """Read all records an hour later, in lists; `ids` is the only list of the object."""
    org.clock.advance(3600)
    login = login or Login()
    task, window = task_of(org, login), Window(None, org.clock.now())
    with org.landing.begin("acme", "owners", window, OWNERS, reader=2) as writer:
        for part, ids in parts.items():
            keys = keyed(ids)
            texts = [json.dumps({"id": int(one)}) for one in keys.column("_source_id").to_pylist()]
            batch = keys.append_column("record", pa.array(texts, pa.string()))
            at, name = org.clock.now(), "" if part == "ids" else part
            writer.write([batch], shape="json", route="list", extracted_at=at, part=name)
        writer.quarantine(rejects, shape="json", extracted_at=org.clock.now())
        plan: Any = SimpleNamespace(schema=OWNERS)
        verdict = evaluate_snapshot(task, plan, writer, sight_of(task.account))
        if verdict.same_as is None:
            writer.commit(Counts(complete=True, shrink=verdict.shrink, sight=verdict.sight))
    return verdict


def alive(org: Any, rules: Rules | None = None) -> set[int]:
    org.normalize("users", keys=rules)
    return {int(key) for key, gone in org.rows("users", "source_id, is_deleted") if not gone}


def kinds(org: Any) -> list[str]:
    return [one.kind for one in remarks_of(org.landing, "acme", "owners")]


# --- records that cannot be read


@pytest.mark.parametrize("reject", [NAMED, Reject("no reader knew it", b'{"id": 4}')])
def test_a_loss_is_judged_beside_a_record_that_cannot_be_read(owners, reject: Reject) -> None:
    """A read whose record becomes readable has the same records as before, and proves no more than before."""
    read(owners, ids=ALL)
    assert read(owners, ids=range(4), rejects=[reject]).shrink is not None
    assert alive(owners) == set(ALL)
    assert alive(owners, Rules()) == set(ALL)
    assert "shrink" in kinds(owners)


def test_a_record_without_an_id_keeps_all_alive_and_is_told_of(owners) -> None:
    """A repeated read changes nothing, however often; absence counts once the unreadable record is gone."""
    read(owners, ids=ALL)
    for _ in range(3):
        read(owners, ids=range(99), rejects=[NAMELESS])
    assert len(owners.landing.windows("acme", "owners")) == 2
    assert alive(owners) == set(ALL)
    assert kinds(owners) == ["unnamed", "quarantine"]
    assert not owners.normalize("users").changed
    read(owners, ids=range(99))
    assert alive(owners) == set(range(99))
    assert kinds(owners) == []


def test_a_record_with_an_id_is_there(owners) -> None:
    """An unreadable record keeps its last state; other missing records are deleted at once."""
    read(owners, ids=ALL)
    rest = [one for one in range(99) if one != 4]
    for _ in range(3):
        assert read(owners, ids=rest, rejects=[NAMED]).shrink is None
    assert len(owners.landing.windows("acme", "owners")) == 2
    assert alive(owners) == set(range(99))
    assert kinds(owners) == ["quarantine"]
    read(owners, ids=rest)
    assert alive(owners) == set(rest)


def test_nothing_but_records_that_cannot_be_read(owners) -> None:
    """If all records are unreadable, none is missing."""
    read(owners, ids=[4, 5])
    assert read(owners, rejects=[NAMED]).shrink is None
    assert alive(owners) == {4}


def test_another_record_that_cannot_be_read_is_another_read(owners) -> None:
    """The same number of unreadable records may be other records."""
    read(owners, ids=ALL, rejects=[NAMELESS])
    assert read(owners, ids=ALL, rejects=[NAMELESS]).same_as is not None
    assert read(owners, ids=ALL, rejects=[Reject("bad", b"{")]).same_as is None


def test_records_that_were_set_aside_count_when_they_are_missing(owners) -> None:
    """Six records that could not be read and are gone from the next read were there before it."""
    rejects = [Reject("bad", b'{"id": %d, NaN}' % one, str(one)) for one in range(6)]
    read(owners, ids=range(20))
    assert read(owners, ids=range(6, 20), rejects=rejects).shrink is None
    shrink = read(owners, ids=range(6, 20)).shrink
    assert shrink is not None
    assert (shrink.before, shrink.missing) == (20, 6)
    assert alive(owners) == set(range(20))


def test_a_torn_record_may_be_more_than_one(owners) -> None:
    """A cut page has an id, but others may be lost with it: absence proves nothing."""
    read(owners, ids=ALL)
    torn = Reject("bad", b'{"id": 4, "x": {}, {"id": 5}', "4", is_torn=True)
    read(owners, ids=[one for one in ALL if one not in {4, 5}], rejects=[torn])
    assert alive(owners) == set(ALL)
    assert kinds(owners) == ["unnamed", "quarantine"]


def test_reads_of_before_such_records_were_told_apart(owners) -> None:
    """Reads that were not evaluated prove no absence, even once all records can be read; the next read lands."""
    read(owners, ids=ALL)
    read(owners, ids=range(90), rejects=[NAMED])
    last = owners.landing.windows("acme", "owners")[-1]
    path = owners.landing.folder("acme", "owners") / "windows" / f"{last.window_id}.json"
    record = files.read_json(path)
    assert record.pop("unnamed") == 0
    record["shrink"] = None
    files.write_json(path, record)
    owners.landing._commits.clear()
    assert alive(owners, Rules()) == set(ALL)
    assert read(owners, ids=range(90), rejects=[NAMED]).same_as is None


def test_files_with_such_records_that_are_gone(owners) -> None:
    """Without quarantine files the records are not known: missing ones stay until the next read."""
    read(owners, ids=ALL)
    rest = [one for one in range(99) if one != 4]
    read(owners, ids=rest, rejects=[NAMED])
    for path in owners.landing.quarantine("acme", "owners").glob("????-??/*"):
        path.unlink()
    assert alive(owners) == set(ALL)
    assert read(owners, ids=rest, rejects=[NAMED]).same_as is None
    assert alive(owners) == set(range(99))


def test_damaged_files_with_such_records_are_named(owners) -> None:
    """Damage is found by the build and by the read, before anything is deleted."""
    read(owners, ids=ALL)
    read(owners, ids=range(99), rejects=[Reject("bad", b"{NaN", "100")])
    [path] = owners.landing.quarantine("acme", "owners").glob("????-??/*.parquet")
    path.write_bytes(path.read_bytes().replace(b"NaN", b"NaM"))
    with pytest.raises(CorruptFile, match=path.name):
        alive(owners)
    with pytest.raises(CorruptFile, match=path.name):
        read(owners, ids=range(99), rejects=[Reject("bad", b"{NaN", "100")])


# --- what the login sees


@pytest.mark.parametrize("before", ["", "less"])
def test_reads_that_say_the_same_say_what_the_login_sees(owners, before: str) -> None:
    """A commit of an older version knew nothing of it, or a scope was added since: what it saw at the last good
    read counts, though that landed nothing."""
    read(owners, ids=ALL, login=Login(before))
    assert read(owners, ids=ALL).same_as is not None
    assert read(owners, ids=range(60)).shrink is not None
    assert read(owners, ids=range(60)).shrink is None
    assert alive(owners) == set(range(60))


def test_what_is_not_known_is_not_noted(owners) -> None:
    """A read for which the permissions are not known keeps the earlier fingerprint."""
    read(owners, ids=ALL)
    read(owners, ids=ALL, login=Login(""))
    [commit] = owners.landing.windows("acme", "owners")
    assert owners.landing.sight(commit) == commit.sight != ""


def test_a_damaged_note_confirms_nothing(owners) -> None:
    """The next good read writes a lost note of permissions again."""
    read(owners, ids=ALL, login=Login("less"))
    read(owners, ids=ALL)
    [path] = owners.landing.folder("acme", "owners").glob("windows/*.sight")
    good = owners.landing.sight(owners.landing.windows("acme", "owners")[0])
    path.write_bytes(path.read_bytes()[:-9])
    [commit] = owners.landing.windows("acme", "owners")
    assert owners.landing.sight(commit) == ""
    read(owners, ids=ALL)
    assert owners.landing.sight(commit) == good


def test_records_that_came_back_take_doubt_away(owners) -> None:
    """Records that come back end the doubt, even beside an unreadable one: the earlier read confirms no later loss."""
    read(owners, ids=ALL)
    assert read(owners, ids=range(60)).shrink is not None
    assert read(owners, ids=ALL, rejects=[NAMELESS]).shrink is None
    assert kinds(owners) == ["unnamed", "quarantine"]
    assert read(owners, ids=range(60)).shrink is not None


def test_one_run_asks_once_what_the_login_sees() -> None:
    """Permissions are requested once per run, whatever the number of objects; later changes do not count."""
    login: Any = Login()
    first = initial_sight(login)
    login.visible = "less"
    assert initial_sight(login) == first != sight_of(login)
    assert login.asked == 2


# --- lists


def test_a_list_that_keeps_one_record(owners) -> None:
    """A list with one record left counts as an empty one; the text names all missing records."""
    read(owners, live=range(1000), archived=range(1000, 1150))
    shrink = read(owners, live=range(20, 1000), archived=[1000]).shrink
    assert shrink is not None
    assert (shrink.part, shrink.missing, shrink.before, shrink.rows) == ("archived", 149, 150, 169)
    assert "'archived' lacks 149 of 150 records (169 are missing in all)" in shrink_text(shrink)


def test_an_empty_list_among_losses_is_not_confirmed_by_a_second_read(owners) -> None:
    """A second read does not confirm an empty list, however much is missing elsewhere."""
    read(owners, live=range(100), archived=range(100, 150))
    for _ in range(3):
        shrink = read(owners, live=range(60)).shrink
        assert shrink is not None
        assert (shrink.part, shrink.is_empty, shrink.rows) == ("archived", True, 90)


def test_the_vendor_is_asked_about_each_list(owners) -> None:
    """Confirmed deletions of one list do not confirm another list's."""

    class Vendor(Login):
        def __init__(self, gone: Iterable[int]) -> None:
            super().__init__()
            self.gone = {str(one) for one in gone}

        def confirm_deleted(self, obj: str, ids: Sequence[str]) -> set[str]:
            return self.gone & set(ids)

    read(owners, live=range(1000), a=range(1000, 1020), b=range(1020, 1040))
    rest = {"live": range(1000), "a": [1000], "b": [1020]}
    assert read(owners, **rest, login=Vendor(range(1000, 1020))).shrink is not None
    assert read(owners, **rest, login=Vendor(range(1000, 1040))).shrink is None
