"""Single requests: queries by path, records by id or value, previews, probes, check-ups."""

from datetime import timedelta

import pytest

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import Rejected
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker


def test_a_query_is_a_path(still: Harness) -> None:
    """A query by path yields all pages, from v2 by cursor and from v1 by offset."""
    with still.account() as account:
        deals = list(account.query("/api/v2/deals?status=won&limit=2", include_deleted=False))
        notes = list(account.query("/v1/notes?limit=7", include_deleted=False))
        users = list(account.query("/v1/users", include_deleted=False))
        [me] = account.query("/v1/users/me", include_deleted=False)
    assert deals
    assert all(deal["status"] == "won" for deal in deals)
    assert sorted(str(note["id"]) for note in notes) == still.truth("notes")
    assert me["id"] in {user["id"] for user in users}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id FROM Contact",
        "https://evil.example/v1/users",
        "//evil.example/v1/users",
        "/oauth/token",
        "/api/v2/../../secret",
    ],
)
def test_other_texts_are_refused(still: Harness, text: str) -> None:
    """A query must be a path of the API, and is sent only to the company's own address."""
    with still.account() as account, pytest.raises(Rejected, match="no query language") as caught:
        list(account.query(text, include_deleted=False))
    assert "/api/v2/deals" in caught.value.cure


def test_one_record(still: Harness) -> None:
    """A record is found by its id, or by the exact value of a search field."""
    [person] = still.company.rows("persons", limit=1)
    with still.account() as account:
        assert account.get("persons", str(person["id"]), by=None)["name"] == person["name"]
        [email] = [point["value"] for point in person["emails"] or [] if point["primary"]][:1] or [
            None
        ]
        if email:
            assert account.get("persons", email, by="email")["id"] == person["id"]
        with pytest.raises(Rejected, match="404"):
            account.get("persons", "999999999", by=None)
        with pytest.raises(Rejected, match="no record has this value in 'email'"):
            account.get("persons", "nobody@nowhere.example", by="email")
        with pytest.raises(Rejected, match="not found by 'shoe size'"):
            account.get("persons", "42", by="shoe size")
        with pytest.raises(Rejected, match="single records"):
            account.get("currencies", "1", by=None)


@pytest.mark.parametrize(
    "obj", ["persons", "deals", "leads", "notes", "users", "stages", "deal_products"]
)
def test_previews(still: Harness, obj: str) -> None:
    """A preview has the newest records as values by field, including parts of composite values."""
    with still.account() as account:
        schema, rows = account.preview(obj, 3)
    assert len(rows) == 3
    assert list(rows[0]) == list(schema.names)
    assert all(row["id"] for row in rows)


@pytest.mark.parametrize("obj", ["persons", "deals", "products", "leads", "notes"])
def test_one_call_probes_for_changes(still: Harness, obj: str) -> None:
    """A probe returns how many records changed since an instant, including deleted deals, and the last change."""
    since = parse_instant("2026-09-01T00:00:00Z")
    rows = [
        row
        for row in still.company.rows(obj, include_deleted=obj == "deals")
        if row["update_time"] and not row.get("is_archived")
    ]
    changes = [parse_instant(f"{row['update_time'].isoformat()}Z") for row in rows]
    with still.account() as account:
        schema = account.describe(obj)
        before = account.usage.calls
        changed, last_change = account.probe_changes(schema, since)
        assert account.usage.calls == before + 1
    after = [at for at in changes if at >= since]
    assert after
    assert changed == min(len(after), 20)
    assert last_change == max(after)
    with still.account() as account:
        assert account.probe_changes(schema, still.clock.now() + timedelta(days=1)) == (0, None)


def test_a_healthy_check_up(make_harness: HarnessMaker) -> None:
    """A healthy check-up has one line for each of login, identity, sight, budget, pace and objects."""
    objects = "[persons, deals, leads, users, deal_products]"
    with (
        make_harness(kind="refresh_token", objects=objects) as harness,
        harness.account() as account,
    ):
        report = account.check()
    assert report.is_healthy, report
    whats = [finding.topic for finding in report.findings]
    assert whats == ["login", "identity", "sight", "scopes", "budget", "pace", "objects", "clock"]
    assert "company 6000001" in report.findings[1].detail
    assert "5 of 5 readable" in report.findings[-2].detail


def test_what_a_check_up_finds(make_harness: HarnessMaker) -> None:
    """A check-up reports missing scopes, unreadable objects and unknown names, each with a cure."""
    with make_harness(kind="refresh_token", objects="[persons, deals, dealz]") as harness:
        harness.company.grant(["base", "deals:read"])
        with harness.account() as account:
            report = account.check()
    by_level = {(finding.level, finding.topic): finding for finding in report.findings}
    assert "contacts:read" in by_level["warn", "scopes"].detail
    failed = [finding for finding in report.findings if finding.level == "fail"]
    assert sorted(failure.detail.split()[0] for failure in failed) == ["dealz", "persons"]
    assert any("Did you mean 'deals'?" in failure.cure for failure in failed)
    assert not report.is_healthy


def test_a_user_who_does_not_see_everything(harness: Harness) -> None:
    """The API silently omits records that the user may not see; the check-up warns of it."""
    from crm_pipeline_tests.connectors.pipedrive.conftest import MAIN

    harness.settings.environ["PIPE_TOKEN"] = MAIN.restricted_token  # type: ignore[index]
    assert len(harness.ids(harness.extract("persons"))) < len(harness.truth("persons"))
    with harness.account() as account:
        findings = {finding.topic: finding for finding in account.check().findings}
    assert findings["sight"].level == "warn"
    assert "left out without a word" in findings["sight"].detail


def test_a_check_up_without_the_day(make_harness: HarnessMaker) -> None:
    """Where the vendor does not report its budget, the check-up names the setting."""
    with make_harness(ceilings=WIDE) as harness:
        harness.company.set_limits(shows_daily=False)
        with harness.account() as account:
            findings = {finding.topic: finding for finding in account.check().findings}
    assert "daily_tokens" in findings["budget"].cure


def test_a_login_that_fails_is_all_that_is_stated(harness: Harness) -> None:
    """After a failed login there is only one finding."""
    harness.settings.environ["PIPE_TOKEN"] = "1" * 40  # type: ignore[index]
    with harness.account() as account:
        [finding] = account.check().findings
    assert (finding.level, finding.topic) == ("fail", "login")


def test_who_and_objects(still: Harness) -> None:
    """The account returns its user and company, and the objects that can be read."""
    with still.account() as account:
        assert "of company 6000001 (sandbox-main)" in account.identity()
        names = [info.name for info in account.objects()]
    assert {"deals", "persons", "leads", "deal_products", "currencies"} <= set(names)
