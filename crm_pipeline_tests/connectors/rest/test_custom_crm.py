"""A CRM with every bad habit, read by its file alone: what lands is what it has."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_pipeline.cli.sandboxes import sandbox_address
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import AuthFailed, ConfigError, MalformedResponse, ProtocolError
from crm_pipeline_tests.connectors.rest.acme_server import CAP, Acme, filled, local
from crm_pipeline_tests.connectors.rest.conftest import Reader


def test_everything_lands_as_it_came(reader: Reader, acme: Acme) -> None:
    """Ids keep their zeros, local times become instants, and null at the end is an empty page."""
    reader.extract()
    rows = reader.landed()
    assert {row["_source_id"]: json.loads(row["record"]) for row in rows} == acme.people
    [first] = [row for row in rows if row["_source_id"] == "000000"]
    assert first["_modified_at"] == datetime(2026, 3, 1, 8, tzinfo=UTC)
    reader.extract("firms")
    assert reader.ids("firms") == {one["nr"] for one in acme.firms}


def test_local_times_keep_their_order_over_the_change_of_the_clock(
    reader: Reader, acme: Acme
) -> None:
    """29 March 2026: the hour from two to three does not exist in Berlin."""
    acme.people = {
        "1": {"nr": "1", "changed": "29.03.2026 01:59:59"},
        "2": {"nr": "2", "changed": "29.03.2026 03:00:00"},
    }
    reader.extract()
    found = {row["_source_id"]: row["_modified_at"] for row in reader.landed()}
    assert found["2"] - found["1"] == timedelta(seconds=1)


def test_a_refresh_reads_what_changed(reader: Reader, acme: Acme) -> None:
    reader.extract(mode="refresh")
    lately = local(datetime.now(UTC) - timedelta(minutes=1))
    acme.people["000007"] |= {"changed": lately, "mail": "new@acme.example"}
    acme.people["000008"] |= {"changed": lately, "gone": "y"}
    acme.calls.clear()
    done = reader.extract(mode="refresh")
    assert done.records == 2
    assert all("since=" in call for call in acme.calls if "/people" in call)
    latest = {row["_source_id"]: row for row in reader.landed()}
    assert latest["000008"]["_deleted"]
    assert not latest["000007"]["_deleted"]


def test_a_window_has_its_own_records_only(reader: Reader, acme: Acme) -> None:
    """The API knows no end of a window: later records are left out here."""
    window = Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    reader.extract(window=window)
    assert reader.ids() == {f"{n:06}" for n in range(16, 40)}


def test_records_that_are_deleted_while_the_list_is_read_hide_no_others(
    reader: Reader, acme: Acme
) -> None:
    """By offset, the others move up, and the first ones of the next page would be missed."""
    gone: list[str] = []

    def shrink(crm: Acme, start: int) -> None:
        if len(gone) < 3 and start >= 40:
            gone.append(min(crm.people))
            del crm.people[gone[-1]]

    acme.on_page = shrink
    reader.extract()
    assert reader.ids() >= set(acme.people)


def test_a_cap_is_an_error_and_no_end(reader: Reader, acme: Acme) -> None:
    acme.people = filled(people=CAP + 10).people
    with pytest.raises(ProtocolError, match="longer than the 300 records"):
        reader.extract()
    assert not reader.landed()


def test_a_page_that_comes_again_is_an_error(reader: Reader, acme: Acme) -> None:
    acme.repeats = True
    with pytest.raises(ProtocolError, match="same page twice"):
        reader.extract()
    assert not reader.landed()


def test_an_error_at_200_is_tried_again(reader: Reader, acme: Acme) -> None:
    acme.broken = 2
    reader.extract()
    assert reader.ids() == set(acme.people)


def test_a_login_page_at_200_is_no_empty_list(reader: Reader, acme: Acme) -> None:
    acme.page_login = 50
    with pytest.raises(MalformedResponse, match="with a web page where data was expected"):
        reader.extract()
    assert not reader.landed()


def test_a_clock_that_is_off_is_named(reader: Reader, acme: Acme) -> None:
    acme.skew_s = 600
    with pytest.raises(AuthFailed, match="the clock of the request is off"):
        reader.extract()


def test_no_secret_is_in_an_error(read_by: Any, acme: Acme) -> None:
    """Neither is the address's query, which may hold a key."""
    reader = read_by("http://127.0.0.1:9")
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it holds no secret
        reader.extract()
    assert "s3cret" not in f"{raised.value!r} {raised.value}"


def test_single_records_by_their_ids(reader: Reader, acme: Acme) -> None:
    with reader.account() as account:
        pages = list(account.read("people", ["000003", "9", "000003"]))
    outcomes = {one: outcome.status for page in pages for one, outcome in page.outcomes.items()}
    assert outcomes == {"000003": "read", "9": "not_found"}


def test_a_record_without_an_id_is_quarantined(reader: Reader, acme: Acme) -> None:
    acme.people["000005"] = {"nr": None, "changed": "01.03.2026 10:00:00"}
    acme.people["000006"]["changed"] = "yesterday"
    done = reader.extract()
    assert done.quarantined == 2
    assert reader.ids() == set(acme.people) - {"000005", "000006"}


def test_a_connection_that_lacks_a_secret(read_by: Any, acme: Acme) -> None:
    reader = read_by("http://127.0.0.1:9")
    file = reader.settings.root / "sources/acme.yaml"
    file.write_text(file.read_text().replace("secret.KEY", "secret.OTHER"))
    with pytest.raises(ConfigError, match="no environment variable for OTHER"), reader.account():
        pass


def test_it_is_no_account_of_the_sandbox(read_by: Any) -> None:
    """A CRM on this machine is read in plain HTTP, and the sandbox neither serves it nor moves its port."""
    reader = read_by("http://127.0.0.1:9")
    settings = load_settings(reader.settings.root, {"CRM_SANDBOX_PORT": "8765"})
    connection = settings.connection("acme")
    assert connection.login_url == "http://127.0.0.1:9"
    assert sandbox_address(connection) is None
