"""Audits against a CRM in memory: what is found, what is believed, and what they may cost."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.raw import extract
from crm_pipeline.stages.raw.audit import AuditRun, audit_connection, audit_plans
from crm_pipeline.stages.raw.audit.landed import landed_keys
from crm_pipeline.stages.raw.point import read_points
from crm_pipeline.stages.raw.unstamped.landed import folded_records
from crm_pipeline.store.audits import Audited, Audits
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.stages.raw.crm import NOW, OBJECT, Crm, CrmAccount, connection, ids_of
from crm_pipeline_tests.stages.raw.test_point import MAP, STEPS, Run

BEHIND = NOW - timedelta(days=1)
"""Behind the watermark and its look-back: no refresh sees what is committed with this time."""
SIZE = 300


@dataclass
class Pipeline:
    """A data folder that reads the CRM."""

    crm: Crm
    folder: Path

    @property
    def landing(self) -> Landing:
        return Landing(self.folder, self.crm.clock)

    @property
    def audits(self) -> Audits:
        return Audits(self.folder, self.crm.clock)

    def refresh(self) -> None:
        extract(self.account(), OBJECT, None, mode="refresh", landing=self.landing)
        self.crm.clock.advance(900)

    def account(self, day_limit: DayLimit | None = None) -> Any:
        return CrmAccount(self.crm, day_limit)

    def audit(self, day_limit: DayLimit | None = None, **options: Any) -> AuditRun:
        run = audit_connection(
            self.account(day_limit),
            landing=self.landing,
            audits=self.audits,
            engine=self.engine,
            **options,
        )
        self.crm.clock.advance(900)
        return run

    def engine(self) -> Engine:
        return Engine(self.folder / "tmp", memory_limit="512MB", threads=1)

    def here(self) -> dict[str, tuple[datetime, str]]:
        """Return the live records as the normalized tables fold them, texts included: not the code under test."""
        landed = collect("acme", MAP, self.landing)
        assert landed is not None
        with self.engine() as engine:
            relation = folded(engine, landed, ranked(engine, landed))
            rows = engine.rows(
                f"SELECT _source_id, _modified_at, {raw('Name')} FROM {relation} WHERE NOT _deleted"
            )
        return {one: (at, name) for one, at, name in rows}

    def is_right(self) -> bool:
        return self.here() == self.crm.truth


@pytest.fixture
def read(tmp_path: Path) -> Pipeline:
    """A pipeline that has read a CRM of 300 records twice."""
    pipeline = Pipeline(Crm.of(SIZE), tmp_path)
    pipeline.refresh()
    pipeline.refresh()
    return pipeline


def of_whole(run: AuditRun) -> Audited:
    return next(each for each in run.results if not each.month)


def sums(run: AuditRun) -> tuple[int, int, int, int]:
    """Return what months add up to: missing, ghosts, stale, healed."""
    months = [each for each in run.results if each.month]
    names = ("missing", "ghosts", "stale", "healed")
    return tuple(sum(getattr(each, name) for each in months) for name in names)  # type: ignore[return-value]


def test_counts_find_and_heal(read: Pipeline) -> None:
    """Months whose counts differ are read again, and swept where that does not explain them; equal ones cost a call.
    What a refresh would have landed anyway is no difference."""
    quiet = read.audit()
    assert {each.state for each in quiet.results} == {"equal"}
    assert quiet.calls <= len(quiet.results) + 4
    read.crm.put(["lost 1"], BEHIND, "lost")
    read.crm.remove(ids_of([5]))
    just_now = read.crm.clock.now() - timedelta(minutes=1)
    read.crm.put(ids_of([77]), just_now, "edited just now")
    run = read.audit()
    assert sums(run) == (1, 1, 0, 2)
    assert [each.month for each in run.results if each.state == "healed"] == ["2026-01", "2026-11"]
    assert of_whole(run).state == "equal"
    assert {each.by for each in run.results if each.state == "equal"} == {"count"}
    assert run.is_right
    assert run.landed
    assert read.is_right()


@pytest.mark.parametrize(("ids", "by"), [(11, "ids"), (12, "count")])
def test_the_cheaper_of_counts_and_ids_is_compared(read: Pipeline, ids: int, by: str) -> None:
    """Eleven months and the whole object are twelve counts; a list of ids takes a second count besides. The plan says what
    is compared; what cancels out in counts is found by ids."""
    read.crm.sweep_cost = ids
    read.crm.put(["lost 1"], BEHIND, "lost")
    read.crm.remove(ids_of([SIZE - 1]))
    [plan] = audit_plans(read.account(), read.landing)
    assert plan.by == by
    run = read.audit()
    assert {each.by for each in run.results} == {by}
    assert read.is_right() == (by == "ids")


def test_what_cancels_out_in_counts_is_found_by_ids(read: Pipeline) -> None:
    """A lost record and a ghost of one month leave its count as it was, and the verdict says so; ids show both."""
    read.crm.put(["lost 1"], BEHIND, "lost")
    read.crm.remove(ids_of([SIZE - 1]))
    blind = read.audit()
    assert {each.state for each in blind.results} == {"equal"}
    assert "which only ids show" in of_whole(blind).verdict
    assert not read.is_right()
    assert sums(read.audit(is_deep=True)) == (1, 1, 0, 2)
    assert read.is_right()


def test_the_log_of_deletions_is_believed_where_the_record_is_gone(read: Pipeline) -> None:
    """What counts cannot see is landed from the vendor's log, for a call and a read of the suspects; a record that was
    restored since stays alive, and one whose deletion a refresh sees anyway is no difference."""
    gone, restored = ids_of([SIZE - 1]), ids_of([SIZE - 2])
    read.crm.put(["lost 1"], BEHIND, "lost")
    read.crm.remove(gone)
    read.crm.deleted = set(gone)
    read.crm.logged = {*gone, *restored, "never seen"}
    run = read.audit()
    [by_log] = [each for each in run.results if each.by == "log"]
    assert (by_log.ghosts, by_log.healed, by_log.state) == (1, 1, "healed")
    assert read.here().keys() == read.crm.truth.keys()
    assert [each.by for each in read.audit().results].count("log") == 0


def test_a_log_that_is_refused_keeps_back_nothing(read: Pipeline) -> None:
    """Counts and ids find the deletion, as they do where a vendor has no log."""
    read.crm.logged = None
    read.crm.remove(ids_of([5]))
    assert sums(read.audit()) == (0, 1, 0, 1)
    assert read.is_right()


def test_an_edit_without_a_new_time_is_found_by_content(read: Pipeline) -> None:
    """Formulas move no modification time: ids do not show them, whole records do."""
    [one] = ids_of([7])
    read.crm.put([one], read.crm.truth[one][0], "computed")
    assert {each.state for each in read.audit(is_deep=True).results} == {"equal"}
    read.crm.remove(ids_of([9]))
    run = read.audit(reads_content=True)
    assert (run.results[0].by, run.results[0].stale, run.results[0].healed) == ("content", 1, 1)
    assert (run.total("stale"), run.total("ghosts"), run.total("healed")) == (1, 1, 2)
    assert read.is_right()


def test_months_are_compared_by_ids_where_nothing_counts(read: Pipeline) -> None:
    """Without counts all ids are listed, and each month has its result."""
    read.crm.counts = False
    lost, stale, gone = ["lost 1"], ids_of([7]), ids_of([9])
    read.crm.put(lost, BEHIND, "lost")
    read.crm.put(stale, BEHIND, "edited")
    read.crm.remove(gone)
    run = read.audit()
    assert {each.by for each in run.results} == {"ids"}
    assert sums(run) == (1, 1, 1, 3)
    assert read.is_right()


def _lists_nothing(crm: Crm) -> None:
    crm.unlisted = set(crm.truth)
    crm.counts = False


def _lists_half(crm: Crm) -> None:
    crm.unlisted = set(ids_of(range(0, SIZE, 2)))
    crm.counts = False


def _lacks_one_that_it_shows(crm: Crm) -> None:
    crm.unlisted = set(ids_of([4]))
    crm.counts = False
    crm.remove(ids_of([11]))


def _does_not_answer_about_one(crm: Crm) -> None:
    crm.remove(ids_of([4, 11]))
    crm.refused = set(ids_of([4]))
    crm.counts = False


def _counts_more(crm: Crm) -> None:
    crm.unlisted = set(ids_of([4]))


def _fails(crm: Crm) -> None:
    crm.fails_after = 1
    crm.remove(ids_of([11]))


def _hides(crm: Crm) -> None:
    crm.sight = "less"
    crm.remove(ids_of([11]))
    crm.counts = False


def _is_another_account(crm: Crm) -> None:
    crm.remove(ids_of(range(SIZE)))
    crm.put(ids_of(range(1_000, 1_300)), BEHIND, "of others")
    crm.counts = False


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        (_lists_nothing, "the list lacks 300 of 300 records, of which the vendor shows 20 of 20"),
        (_lists_half, "the list lacks 150 of 300 records"),
        (_lacks_one_that_it_shows, "the list lacks a record that the vendor shows by its id"),
        (
            _does_not_answer_about_one,
            "the vendor does not say what became of 1 that the list lacks",
        ),
        (_counts_more, "the sweep proves nothing"),
        (_fails, "it does not answer"),
        (_hides, "the login sees other records than before"),
        (_is_another_account, "the list lacks 300 of 300 records: that is not believed"),
    ],
)
def test_a_list_that_is_not_believed_deletes_nothing(
    read: Pipeline, lies: Callable[[Crm], None], said: str
) -> None:
    """An empty or a short list, one that hides a record, a count that differs, a cut sweep, a login that sees less:
    every record stays alive, and the audit says why."""
    read.audit(is_deep=True)
    before = set(read.here())
    lies(read.crm)
    run = read.audit(is_deep=True)
    assert before <= set(read.here())
    texts = [each.verdict for each in run.results] + list(run.failed.values())
    assert any(said in text for text in texts), texts
    assert {each.state for each in run.results if not each.month} <= {"unknown", "differs"}


def test_months_that_lack_few_each_do_not_lack_many_together(tmp_path: Path) -> None:
    """Lists, counts and reads by ids lack four records of each month, which is believed of a month. Of all together no more
    than a fifth is, and the audit says why the others stay."""
    pipeline = Pipeline(Crm.of(120), tmp_path)
    pipeline.refresh()
    pipeline.refresh()
    months: dict[str, list[str]] = {}
    for one, (at, _) in sorted(pipeline.crm.truth.items()):
        months.setdefault(f"{at:%Y-%m}", []).append(one)
    before = set(pipeline.here())
    pipeline.crm.remove([one for ids in months.values() if len(ids) > 8 for one in ids[:4]])
    run = pipeline.audit()
    assert 4 <= len(before - set(pipeline.here())) < 120 / 5
    assert any("together lack more records" in each.verdict for each in run.results)
    assert not run.is_right


def test_a_ghost_without_a_time_is_not_healed_while_it_lives(tmp_path: Path) -> None:
    """A record that has no modification time and stays alive, because the login sees less, is reported as open."""
    pipeline = Pipeline(Crm.of(30), tmp_path)
    pipeline.crm.put(["undated"], None, "of no time")
    pipeline.refresh()
    pipeline.audit(is_deep=True)
    pipeline.crm.remove(["undated"])
    pipeline.crm.sight = "less"
    run = pipeline.audit(is_deep=True)
    assert "undated" in pipeline.here()
    assert (of_whole(run).ghosts, of_whole(run).healed, of_whole(run).is_open) == (1, 0, True)


def test_records_hidden_from_the_login_stay_alive_in_every_audit(tmp_path: Path) -> None:
    """The permissions of before count until nothing is open. Once an audit under other ones agrees, these count."""
    pipeline = Pipeline(Crm.of(30), tmp_path)
    pipeline.refresh()
    pipeline.audit(is_deep=True)
    hidden = ids_of([11])
    found = pipeline.crm.records.slice(11, 1)
    pipeline.crm.remove(hidden)
    pipeline.crm.sight = "less"
    for _ in range(2):
        pipeline.audit(is_deep=True)
        assert set(hidden) <= set(pipeline.here())
    pipeline.crm.records = pa.concat_tables([pipeline.crm.records, found])
    pipeline.audit(is_deep=True)
    pipeline.crm.remove(hidden)
    pipeline.audit(is_deep=True)
    assert not set(hidden) & set(pipeline.here())


def _is_seen_again(pipeline: Pipeline) -> None:
    pipeline.crm.put(ids_of([1]), BEHIND + timedelta(hours=1), "seen again")


def _is_permitted_again(pipeline: Pipeline) -> None:
    pipeline.crm.sight = "all"


def _is_deleted_by_a_read(pipeline: Pipeline) -> None:
    pipeline.crm.deleted = set(ids_of([1]))
    read_points(pipeline.account(), OBJECT, ids_of([1]), landing=pipeline.landing)


@pytest.mark.parametrize("mend", [_is_seen_again, _is_permitted_again, _is_deleted_by_a_read])
@pytest.mark.parametrize("counts", [True, False])
def test_a_ghost_is_open_until_it_is_known_what_became_of_it(
    tmp_path: Path, mend: Callable[[Pipeline], None], *, counts: bool
) -> None:
    """The only record of a month is gone, and the login sees less: that is open, until the record is seen again, maybe in
    another month, or the login sees what it saw before, or the CRM says that the record was deleted."""
    pipeline = Pipeline(Crm.of(3), tmp_path)
    pipeline.crm.counts = counts
    pipeline.refresh()
    pipeline.audit(is_deep=True)
    pipeline.crm.remove(ids_of([1]))
    pipeline.crm.sight = "less"
    assert pipeline.audit(is_deep=True).open
    month = {each.month for each in pipeline.audits.at("acme").of("Contact").open}
    assert len(month) == 2  # it, and the whole object
    mend(pipeline)
    assert not pipeline.audit(is_deep=not counts).open
    assert not pipeline.audits.at("acme").of("Contact").open
    assert pipeline.is_right()


def test_what_a_damaged_file_had_is_not_taken_for_the_same(read: Pipeline) -> None:
    """A damaged file of results is named and moved aside. What the login saw before is not known then, so this audit
    deletes no record that a list lacks; the next one does."""
    read.audit(is_deep=True)
    [path] = read.folder.glob("audits/*.json")
    path.write_text(path.read_text()[:200])
    read.crm.remove(ids_of([11]))
    run = read.audit(is_deep=True)
    assert str(path) in run.damage
    assert path.with_name(f"{path.name}.damaged").exists()
    assert (of_whole(run).ghosts, of_whole(run).healed, run.is_right) == (1, 0, False)
    after = read.audit(is_deep=True)
    assert (after.damage, of_whole(after).healed) == ("", 1)
    assert read.is_right()


def test_many_deletions_are_believed_where_the_vendor_says_so(read: Pipeline) -> None:
    """Two thirds of the records are gone, and the vendor says of each that it was deleted."""
    gone = ids_of(range(200))
    read.crm.remove(gone)
    read.crm.deleted = set(gone)
    run = read.audit(is_deep=True)
    assert (of_whole(run).state, of_whole(run).ghosts) == ("healed", 200)
    assert read.is_right()


def test_a_clock_that_was_set_back(read: Pipeline) -> None:
    """What is compared ends earlier, nothing else changes: a ghost is healed, and no other record is deleted."""
    read.crm.remove(ids_of([11]))
    read.crm.clock.advance(-7 * 86_400)
    run = read.audit(is_deep=True)
    assert (of_whole(run).state, of_whole(run).ghosts, of_whole(run).in_crm) == ("healed", 1, 295)
    assert read.is_right()


def test_a_modification_time_that_went_back(read: Pipeline) -> None:
    """A record with an older modification time than here cannot be healed, and is not said to be."""
    read.crm.put(ids_of([200]), NOW - timedelta(days=300), "restored from a backup")
    run = read.audit(is_deep=True)
    assert (of_whole(run).stale, of_whole(run).healed, of_whole(run).state) == (1, 0, "differs")
    assert "older modification time" in of_whole(run).verdict


def test_records_that_change_meanwhile_are_no_difference(read: Pipeline) -> None:
    """Records are edited and deleted between the refresh and the sweep; none of that is a difference."""
    account = read.account()
    listed = account.pages

    def meanwhile(plan: Any, checkpoint: Any) -> Any:
        if plan.keys_only:
            read.crm.put(ids_of([3, 4]), read.crm.clock.now(), "edited")
            read.crm.put(["new 1"], read.crm.clock.now(), "new")
        yield from listed(plan, checkpoint)

    account.pages = meanwhile
    account.crm.counts = False
    run = audit_connection(
        account, landing=read.landing, audits=read.audits, engine=read.engine, is_deep=True
    )
    assert {each.state for each in run.results} == {"equal"}
    assert "2 changed during the audit" in of_whole(run).verdict


@settings(max_examples=5, deadline=None)
@given(allowed=st.integers(1, 30), is_deep=st.booleans())
def test_an_audit_never_costs_more_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, allowed: int, is_deep: bool
) -> None:
    """With any allowance: no audit costs more, nothing is wrong after it that was right before, and audits of some
    days come to the end, the oldest comparison first."""
    pipeline = Pipeline(Crm.of(60), tmp_path_factory.mktemp("audit"))
    pipeline.refresh()
    pipeline.refresh()
    pipeline.crm.put(["lost 1"], BEHIND, "lost")
    pipeline.crm.remove(ids_of([5]))
    limit = DayLimit(allowed * 20, is_stated=True)
    truth = pipeline.crm.truth
    for _ in range(4):
        run = pipeline.audit(limit, is_deep=is_deep)
        assert run.cost <= allowed
        wrong = set(pipeline.here().items()) ^ set(truth.items())
        assert {one for one, _ in wrong} <= {"lost 1", *ids_of([5])}
        pipeline.crm.clock.advance(86_400)
        if not run.stopped:
            break
    if allowed >= 25:
        assert pipeline.is_right()


GONE: list[tuple[Any, ...]] = [
    *(("edit", "1", 1), ("edit", "2", 1), ("wait", 7), ("refresh",), ("delete", "1"), ("wait", 7)),
    *(("refresh",), ("edit", "1", 2), ("wait", 1), ("point", ["1", "2"])),
]
"""A record goes, and comes back by a read of its id."""


def test_months_that_cost_too_much_do_not_keep_back_others(read: Pipeline) -> None:
    """Where a day's allowance cannot heal a month, it is said to differ; every month has its turn within some days."""
    read.crm.put(["lost 1"], BEHIND, "lost")
    limit, states = DayLimit(10 * 20, is_stated=True), []
    for _ in range(6):
        run = read.audit(limit)
        assert run.cost <= 10
        states += [each.state for each in run.open]
        read.crm.clock.advance(86_400)
    assert "differs" in states
    assert len([month for month in read.audits.at("acme").of("Contact").months if month]) == 11
    read.audit()
    assert read.is_right()


class Folded(Run):
    """Compares the keys of the audit with what the tables are built of, whenever something landed."""

    def check(self) -> None:
        super().check()
        landed = collect("acme", MAP, self.landing)
        assert landed is not None
        relation = folded(self.engine, landed, ranked(self.engine, landed))
        rows = self.engine.rows(
            f"SELECT _source_id, _modified_at, _batch_id FROM {relation} WHERE _is_seen AND NOT _deleted"
        )
        path = self.landing.root / "keys.parquet"
        path.unlink(missing_ok=True)
        keys = landed_keys(self.engine, self.landing, connection(), "Contact", path)
        assert sorted(self.engine.rows(f"FROM {keys.relation}")) == sorted(rows)
        assert keys.records == len(rows)
        # Sweeps of values compare the versions that count, and no record that is gone.
        live = folded_records(self.engine, self.landing, connection(), "Contact")
        swept = self.engine.rows(f"SELECT _source_id, _modified_at, _batch_id FROM {live}")
        assert sorted(swept) == sorted(rows)


@settings(max_examples=5, deadline=None)
@example(steps=GONE, is_whole=True)
@example(steps=GONE, is_whole=False)
@given(steps=st.lists(STEPS, min_size=3, max_size=12), is_whole=st.booleans())
def test_keys_are_folded_as_tables_are(
    tmp_path_factory: pytest.TempPathFactory,
    org: Any,
    steps: Sequence[tuple[Any, ...]],
    is_whole: bool,
) -> None:
    """Whatever was edited, deleted, computed and read, in windows, whole and by ids: the live keys are the table's."""
    folder = tmp_path_factory.mktemp("fold")
    with Engine(folder / "tmp", memory_limit="256MB", threads=1) as engine:
        run = Folded(folder, org, engine, is_whole=is_whole, shape="json")
        run.refresh()
        for step in steps:
            run.do(step)
            if (
                step[0] == "point"
            ):  # what lands otherwise is compared by `refresh`, and the rest lands nothing
                run.check()
        run.refresh()


def test_each_of_many_planted_differences_is_found(tmp_path: Path) -> None:
    """50 differences among 20,000 records, at random places: each is found, and no other. The campaign has 800,000."""
    pipeline = Pipeline(Crm.of(20_000), tmp_path)
    pipeline.refresh()
    pipeline.refresh()
    chosen = random.Random(17).sample(range(20_000), 34)
    lost = [f"lost {n}" for n in range(16)]
    pipeline.crm.put(lost, BEHIND, "lost")
    pipeline.crm.put(ids_of(chosen[:17]), BEHIND + timedelta(seconds=1), "stale")
    pipeline.crm.remove(ids_of(chosen[17:]))
    run = pipeline.audit(is_deep=True)
    assert sums(run) == (16, 17, 17, 50)
    assert pipeline.is_right()
