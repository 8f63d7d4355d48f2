"""`verify` explains one value, and `status` counts verdicts."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.stages.verified import PointCount
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.cli.conftest import Run
from crm_sandbox.dns import DnsServer, Domain, Zone


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("Jane <jane@gmial.com>",), 0, "Did you mean jane@gmail.com?"),
        (("n/a",), 1, "undeliverable"),
        (("030 1234567", "--country", "Germany"), 0, "+49301234567: unknown"),
        (("+4912345678901234567",), 1, "too_long: invalid"),
        (("030 1234567",), 0, "no_region"),
    ],
)
def test_a_value_is_explained(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    """Verdict, reasons and cures, in words; exit code 1 where the value cannot be used."""
    done = run("verify", *arguments)
    assert (done.exit_code, said in done.stdout) == (code, True), done.stdout


def test_dns_is_asked_where_it_is_wanted(run: Run, project: Path) -> None:
    """The resolver of connections.yaml is asked with --dns only. In JSON each fact has a field of its own."""
    zone = Zone({"org": Domain.TOP_LEVEL})
    with DnsServer(zone) as server, (project / "connections.yaml").open("a") as file:
        file.write(f"verification: {{resolver: {server.resolver}}}\n")
        file.flush()
        assert run("verify", "a@gone.org").exit_code == 0
        assert server.questions == 0
        done = run("verify", "a@gone.org", "--dns", "--json")
    assert done.exit_code == 1
    lines = [(one["kind"], one["subject"], one["verdict"]) for one in json.loads(done.stdout)]
    assert lines[:2] == [
        ("email", "a@gone.org", "undeliverable"),
        ("reason", "no_domain", "undeliverable"),
    ]


@pytest.mark.parametrize(
    "arguments", [(), ("",), (" ",), ("a@b.org", "--stale"), ("a@b.org", "--kind", "fax")]
)
def test_wrong_use_says_what_to_write(run: Run, arguments: tuple[str, ...]) -> None:
    """A value or --stale, and a kind that exists."""
    done = run("verify", *arguments)
    assert done.exit_code == 2
    assert "Write" in done.stderr


def test_status_counts_verdicts(run: Run, project: Path) -> None:
    """Each kind has a line with how many points have which verdict; JSON has the same numbers."""
    tables = Tables(project / "data")
    counts = [
        PointCount("acme", "email", "risky", ("role",), 2),
        PointCount("acme", "email", "risky", ("typo",), 1),
        PointCount("acme", "phone", "invalid", (), 4),
    ]
    with tables.stage("verified/contact_points", ("record_key",)) as staged:
        pq.write_table(pa.table({"record_key": ["a"]}), staged.path())
        staged.commit(None, 1, {"counts": [vars(count) for count in counts]})
    assert "verified: 3 emails: 3 risky" in run("status").stdout
    shown = json.loads(run("status", "--json").stdout)["verified"]["points"]
    assert shown == {"email": {"risky": 3}, "phone": {"invalid": 4}}
