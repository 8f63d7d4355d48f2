"""A refresh in which 800 contacts changed, from raw to published: what it costs, and how that grows with the table.

`python -m benchmarks.changed --contacts 800000 8000000`. Contacts of 45 fields are made and landed without a sandbox,
and everything is built. Then 800 of them, spread evenly over the table, change at a time: all get another title, one in
five another e-mail address, one in ten another number (`--all-addresses`: all get both). With `--within 800000` they
are among the first 800,000, so that the same records change in a larger table. Each step is a process of its own, once
for a build from nothing and once for each refresh. Imports are not measured.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.measuring import Figures, alone, machine, measured, medians, table
from benchmarks.tables import CONNECTIONS
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables.engine import Engine

CHANGED = 800
STEPS = ("land", "normalize", "verify", "publish")
_BATCH = 50_000
_NAME = "normalized/bench/contacts"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_TEXTS = {
    "FirstName": "'Ann' || (n % 700)",
    "LastName": "'Smith' || (n % 9001)",
    "Email": "'p' || n || '@mail' || (n % 5003) || '.com'",
    "Phone": "'+1212' || lpad((n % 7999999 + 2000000)::VARCHAR, 7, '0')",
    "MobilePhone": "''",
    "Title": "'Head of ' || (n % 97)",
    "Department": "'Team ' || (n % 53)",
    "MailingStreet": "(n % 999) || ' Main Street'",
    "MailingCity": "'City' || (n % 501)",
    "MailingState": "'State' || (n % 51)",
    "MailingPostalCode": "lpad((n % 99999)::VARCHAR, 5, '0')",
    "MailingCountry": "'United States'",
    "AccountId": "'001' || lpad((n % 90000)::VARCHAR, 15, '0')",
    "OwnerId": "'005' || lpad((n % 90)::VARCHAR, 15, '0')",
    "Description": "CASE WHEN n % 10 = 0 THEN 'Met at the fair, number ' || n ELSE '' END",
    **{f"Note{i}__c": f"'value ' || (hash(n + {i}) % 1000)" for i in range(26)},
}
_KEYS = {
    "Id": "'003' || lpad((n * 7919 % 100000000)::VARCHAR, 15, '0')",
    "IsDeleted": "'false'",
    "CreatedDate": "'2020-01-01T00:00:00.000Z'",
}
_CHANGES = {
    "Title": (1, "'Head of turn {turn}'"),
    "Email": (5, "'p' || n || '@turn{turn}.com'"),
    "Phone": (10, "'+1213' || lpad((n % 7999999 + 2000000)::VARCHAR, 7, '0')"),
}
"""The fields that change: in every how many of the records, and the value as SQL."""
_STAMP = "strftime(stamp, '%Y-%m-%dT%H:%M:%S.000Z')"


def report(
    contacts: Sequence[int] = (800_000, 8_000_000),
    rounds: int = 3,
    *,
    all_addresses: bool = False,
    within: int | None = None,
) -> str:
    """Measure, and return a table in Markdown."""
    rows = []
    first: dict[str, float] = {}
    for number in contacts:
        with tempfile.TemporaryDirectory(prefix="crm-changed-") as folder:
            changes = _Changes(min(number, within or number), all_addresses=all_addresses)
            steps = _measured(folder, number, rounds, changes)
        for step, (whole, changed) in steps.items():
            first.setdefault(step, changed["cpu_s"])
            rows.append(
                (
                    f"{number:,}",
                    step,
                    f"{whole['cpu_s']:.1f}",
                    f"{changed['cpu_s']:.2f}",
                    f"{changed['cpu_s'] / whole['cpu_s']:.1%}",
                    f"{changed['cpu_s'] / first[step]:.2f}",
                    f"{changed['seconds']:.2f}",
                    f"{changed['peak_mb']:,.0f}",
                )
            )
    columns = (
        "contacts",
        "step",
        "all, CPU s",
        f"{CHANGED} changed, CPU s",
        "of all",
        "to the first",
        "seconds",
        "peak MB above idle",
    )
    where = f" of the first {within:,}" if within else ""
    head = f"{CHANGED} contacts{where} changed, median of {rounds} rounds; {machine()}"
    return f"{head}\n\n{table(columns, rows)}"


@dataclass(frozen=True)
class _Changes:
    """What changes in a refresh: some of the first `within` contacts, evenly spread, and in all of them the addresses or in few."""

    within: int
    all_addresses: bool

    def texts(self, turn: int) -> dict[str, str]:
        """Return SQL for the texts of contacts that changed in a refresh."""
        texts = dict(_TEXTS)
        for name, (usually, sql) in _CHANGES.items():
            every = 1 if self.all_addresses else usually
            # Not the first ones: their keys sort first, and are the examples of rules that they break.
            which = f"(n // {self.apart}) % {every} = {every - 1}"
            texts[name] = f"CASE WHEN {which} THEN {sql.format(turn=turn)} ELSE {_TEXTS[name]} END"
        return texts

    @property
    def apart(self) -> int:
        return self.within // CHANGED


def _measured(
    folder: str, contacts: int, rounds: int, changes: "_Changes"
) -> dict[str, tuple[Figures, Figures]]:
    """Return by step what a build from nothing and a refresh take."""

    def step(name: str, number: int) -> Figures:
        done = alone(
            "benchmarks.changed",
            *("--step", name, "--folder", folder, "--round", str(number)),
            *("--contacts", str(contacts), "--within", str(changes.within)),
            *(["--all-addresses"] if changes.all_addresses else []),
        )
        print(f"{contacts} {name} {number}: {done}", file=sys.stderr, flush=True)
        return done

    whole = {name: step(name, 0) for name in STEPS}
    runs = [{name: step(name, number) for name in STEPS} for number in range(1, rounds + 1)]
    figures_of = {name: (whole[name], medians([run[name] for run in runs])) for name in STEPS}
    for title, names in (("raw to verified", STEPS[:-1]), ("raw to published", STEPS)):
        in_all = medians([_together([run[name] for name in names]) for run in runs])
        figures_of[title] = (_together([whole[name] for name in names]), in_all)
    return figures_of


def _together(steps: Sequence[Figures]) -> Figures:
    """Return what steps take one after another, each in a process of its own."""
    summed = {key: sum(one[key] for one in steps) for key in ("seconds", "cpu_s")}
    return summed | {"peak_mb": max(one["peak_mb"] for one in steps)}


def _schema() -> Schema:
    def field(name: str, kind: str = "string") -> Field:
        return Field(name, name, kind, "timestamp" if kind == "datetime" else "string")

    names = [*_KEYS, *_TEXTS]
    fields = [field(name, "datetime" if name == "CreatedDate" else "string") for name in names]
    return Schema("Contact", "Contact", (*fields, field("SystemModstamp", "datetime")))


def _land(folder: Path, numbers: str, number: int, texts: Mapping[str, str] = _TEXTS) -> int:
    """Land contacts by their numbers, SQL for `n` and `stamp`, in one window."""
    clock = FrozenClock(_START + timedelta(days=300, minutes=number))
    columns = [
        f"{_KEYS['Id']} AS _source_id",
        "stamp AS _modified_at",
        "false AS _deleted",
        *(f"{sql} AS {name}" for name, sql in {**_KEYS, **texts}.items()),
        f"{_STAMP} AS SystemModstamp",
    ]
    database = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
    database.execute("SET TimeZone = 'UTC'")
    reader = database.sql(f"SELECT {', '.join(columns)} FROM ({numbers})").to_arrow_reader(_BATCH)
    landing, rows = Landing(folder / "data", clock), 0
    with landing.begin("bench", "Contact", Window(None, clock.now()), _schema()) as writer:
        for batch in reader:
            writer.write([batch], shape="csv", route="bulk", extracted_at=clock.now())
            rows += batch.num_rows
        writer.commit(Counts())
    return rows


def _step(
    name: str, folder: Path, number: int, contacts: int, changes: _Changes
) -> Callable[[], int]:
    """Prepare a step of a refresh, or, for number 0, of a build from nothing; what it imports counts as idle."""
    import pandas as pd  # noqa: F401 - pyarrow imports it at its first array

    from crm_pipeline.configuration import load_settings
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.settings.verification import Verification
    from crm_pipeline.stages.normalized import DriftGuard, normalize
    from crm_pipeline.stages.published import publish
    from crm_pipeline.stages.verified import Choices, verify
    from crm_pipeline.stages.verified.library import library_verifiers
    from crm_pipeline.store.drift import Register
    from crm_pipeline.store.tables import Tables

    data = folder / "data"
    at = "TIMESTAMPTZ '2026-01-01' + to_seconds({})"
    (folder / "connections.yaml").write_text(CONNECTIONS)
    settings = load_settings(folder, {"BENCH_ID": "id", "BENCH_SECRET": "secret"})
    connection = settings.connection("bench")
    maps = connector(connection.vendor).mapping
    verifiers = library_verifiers(Verification(), SystemClock())

    def landed() -> int:
        if not number:
            stamp = at.format("(hash(n) % 20000000)::BIGINT")
            return _land(folder, f"SELECT n, {stamp} AS stamp FROM range({contacts}) t(n)", 0)
        stamp = at.format(f"25000000 + {number}")
        spread = f"range(0, {changes.within}, {changes.apart}) t(n)"
        numbers = f"n + {number} AS n, {stamp} AS stamp FROM {spread}"
        return _land(folder, f"SELECT {numbers}", number, changes.texts(number))

    def normalized() -> int:
        landing, guard = Landing(data), DriftGuard(Register(data, SystemClock()))
        with Engine(data / "tmp") as engine:
            done = normalize(
                connection, "contacts", landing, Tables(data), maps, engine, guard=guard
            )
        assert done.version is not None
        assert done.version.meta["built"]["whole"] == (number == 0), done.version.meta["built"]
        return done.rows

    def verified() -> int:
        with Engine(data / "tmp") as engine:
            choices, now = Choices({"bench": "US"}), datetime.now(UTC)
            done = verify(Tables(data), engine, verifiers, choices, wanted=[_NAME], now=now)
        return done.rows("contact_points")

    def published() -> int:
        with Engine(data / "tmp") as engine:
            done = publish(Landing(data), Tables(data), engine, connections=[connection])
        assert done.built == ("incremental" if number else "full"), done.why
        return sum(done.rows.values())

    steps = (landed, normalized, verified, published)
    return dict(zip(STEPS, steps, strict=True))[name]


def main() -> None:
    import json

    parser = argparse.ArgumentParser(prog="python -m benchmarks.changed", description=__doc__)
    parser.add_argument("--contacts", type=int, nargs="+", default=[800_000, 8_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all-addresses", action="store_true")
    parser.add_argument(
        "--within",
        type=int,
        help="the changes are among so many of the first contacts; all by default",
    )
    parser.add_argument("--step", default="")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--round", type=int, default=0)
    options = parser.parse_args()
    if options.step:
        [contacts] = options.contacts
        changes = _Changes(options.within or contacts, all_addresses=options.all_addresses)
        run = _step(options.step, options.folder, options.round, contacts, changes)
        print(json.dumps(measured(run)))
    else:
        addresses, within = options.all_addresses, options.within
        print(report(options.contacts, options.rounds, all_addresses=addresses, within=within))


if __name__ == "__main__":
    main()
