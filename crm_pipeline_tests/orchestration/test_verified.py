"""The verified assets: checks and metadata of a build, and what makes them fail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.orchestration import verified_checks, verified_metadata
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.masking import masked_phone
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Settings
from crm_pipeline.stages.verified import PointCount, Verified, Verifiers
from crm_pipeline_tests.stages.verified.simple_verifiers import verifiers

KEY = dg.AssetKey(["crm", "verified", "contact_points"])
COLUMNS = {
    "contact_key": pa.string(),
    "emails": pa.list_(
        pa.struct([("value", pa.string()), ("label", pa.string()), ("is_primary", pa.bool_())])
    ),
    "phones": pa.list_(
        pa.struct([("value", pa.string()), ("label", pa.string()), ("is_primary", pa.bool_())])
    ),
    "fax": pa.string(),
    "country": pa.string(),
    "is_deleted": pa.bool_(),
}


class Simple(Workspace):
    """A workspace with rules that fit into a line."""

    is_forgetful = False

    @contextmanager
    def verifiers(self) -> Iterator[Verifiers]:
        simple = verifiers()
        if self.is_forgetful:
            simple = Verifiers(simple_emails, simple.phones, simple.regions_of, "1")
        yield simple


def simple_emails(values: pa.Table) -> pa.Table:
    return verifiers().emails(values).slice(0, 0)


def points(**values: str) -> list[dict[str, Any]]:
    return [
        {"value": value, "label": label, "is_primary": index == 0}
        for index, (label, value) in enumerate(values.items())
    ]


@pytest.fixture
def workspace(settings: Settings) -> Simple:
    """Two contacts of `acme`, normalized."""
    crm = Simple(settings, clock=FrozenClock("2026-03-01T00:00:00Z"))
    rows = [
        {
            "emails": points(main="ada@analytical.example"),
            "phones": points(main="123"),
            "country": "Germany",
        },
        {"emails": points(main="nobody"), "phones": [], "country": None},
    ]
    more = {"fax": None, "is_deleted": False}
    table = pa.Table.from_pylist(
        [{"contact_key": f"acme:Contact:{n}", **row, **more} for n, row in enumerate(rows)],
        pa.schema(list(COLUMNS.items())),
    )
    with crm.tables.stage("normalized/acme/contacts", ("contact_key",)) as staged:
        pq.write_table(table, staged.path())
        columns = [{"name": name} for name in COLUMNS]
        staged.commit(None, len(rows), {"columns": columns, "live": len(rows)})
    return crm


def run(crm: Simple) -> dg.ExecuteInProcessResult:
    job = build_defs(crm.settings, {"crm": crm}).resolve_job_def("publish")
    return job.execute_in_process(
        asset_selection=[
            dg.AssetKey(["crm", "verified", name])
            for name in ("contact_points", "email_verdicts", "phone_verdicts")
        ],
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> Mapping[str, Mapping[str, Any]]:
    return {
        event.asset_key.path[-1]: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def test_a_build_shows_rates_and_masked_samples(workspace: Simple) -> None:
    """Three assets with their rows, shares by verdict, and reasons with values that identify nobody."""
    result = run(workspace)
    assert result.success
    shown = metadata_of(result)
    rows = {name: metadata["dagster/row_count"] for name, metadata in shown.items()}
    assert rows == {"contact_points": 3, "email_verdicts": 2, "phone_verdicts": 1}
    of_points = shown["contact_points"]
    assert of_points["email_share_undeliverable"] == pytest.approx(0.5)
    assert of_points["email_points"] == 2
    of_connections = [v for k, v in of_points.items() if k.startswith("rows_of_")]
    assert of_connections
    assert sum(of_connections) == 3
    assert "| undeliverable | bad_syntax | 1 | *** |" in shown["email_verdicts"]["reasons"]
    assert "ada@" not in str(shown)
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks == {"contract": True, "unanswered": True, "jump": True}


def test_a_build_without_changes_says_so(workspace: Simple) -> None:
    """The second build judges nothing and commits nothing."""
    run(workspace)
    release = workspace.tables.current()
    shown = metadata_of(run(workspace))
    assert not shown["contact_points"]["changed"]
    assert shown["email_verdicts"]["email_values_judged"] == 0
    assert workspace.tables.current() == release


def test_a_value_without_a_verdict_is_red(workspace: Simple) -> None:
    """The check names the rule and the keys, the step fails, and nothing is committed."""
    workspace.is_forgetful = True
    result = run(workspace)
    assert not result.success
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("contract", False)
    assert "verdict is empty: 2 rows" in str(check.description)
    assert "acme:Contact:0" in str(check.metadata["broken"].records)  # type: ignore[attr-defined]
    assert workspace.tables.version("verified/contact_points") is None


def counted(undeliverable: int, of: int, *history: float, reason: str = "bad_syntax") -> Verified:
    counts = (
        PointCount("acme", "email", "undeliverable", (reason,), undeliverable),
        PointCount("acme", "email", "unknown", (), of - undeliverable),
    )
    shares = [{"email": share, "phone": 0.0} for share in (*history, undeliverable / of)]
    return Verified({}, changed=True, counts=counts, history=shares)


@pytest.mark.parametrize(
    ("share", "before", "passed"),
    [(10, [0.1, 0.1], True), (13, [0.1, 0.1], False), (13, [0.05, 0.15], True), (50, [], True)],
)
def test_a_jump_of_a_rate_is_seen(share: int, before: list[float], passed: bool) -> None:
    """Two points more than before are a jump, unless the rate moved as much as that already."""
    results = verified_checks.results(KEY, counted(share, 100, *before), ())
    [jump] = [result for result in results if result.check_name == "jump"]
    assert jump.passed is passed


@pytest.mark.parametrize(("unsure", "passed"), [(("dns_failed",), False), ((), True)])
def test_a_resolver_that_fails_is_seen(unsure: tuple[str, ...], passed: bool) -> None:
    """Where DNS is asked and does not answer for a fifth of the addresses, the check says so."""
    done = counted(30, 100, reason="dns_failed")
    [result] = [
        r for r in verified_checks.results(KEY, done, unsure) if r.check_name == "unanswered"
    ]
    assert result.passed is passed


def test_a_masked_number_is_no_number() -> None:
    """The country code and the length stay."""
    assert masked_phone("+4930123456") == "+49*** (11 characters)"
    assert masked_phone("030 123456") == "*** (10 characters)"
    assert (
        verified_metadata.verified(Verified({}, changed=False), "email_verdicts", {})["changed"]
        is False
    )
