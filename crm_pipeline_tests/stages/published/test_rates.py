"""`ops.verdicts`, the rules about verdicts in `ops.quality`, and how shares moved since yesterday."""

import pyarrow as pa
import pytest

from crm_pipeline.stages.published import operations
from crm_pipeline_tests.stages.published.conftest import land
from crm_pipeline_tests.stages.published.judged import judge, point
from crm_pipeline_tests.stages.published.test_added import land as land_people

DAY_S = 86_400


def email(number, verdict, reasons=(), **more):
    """Return the contact point of one of the contacts."""
    text = f"p{number}@x.co"
    return point(f"acme:contacts:{number}", "email", text, verdict, reasons=list(reasons), **more)


def verdicts(org):
    sql = (
        "SELECT * EXCLUDE (connection, table_name) FROM ops.verdicts WHERE table_name = 'contacts'"
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in org.query(sql)}


def shares(org, rule):
    sql = f"SELECT severity, failures, rows, share, share_yesterday FROM ops.quality WHERE rule = '{rule}'"
    return org.query(sql)


def test_rates_say_how_they_moved_since_yesterday(org):
    """Shares of verdicts and reasons, and of every broken rule, stand beside those of yesterday; what is gone has zero."""
    people = [{"id": f"{n}", "last_name": "Ng", "email": f"p{n}@x.co"} for n in range(4)]
    people += [{"id": "9", "last_name": "Li", "email": "new@x.co", "phone": "000"}]
    land_people(org, "contacts", people)
    no_mx = email(0, "undeliverable", ["no_mx", "role"])
    others = [email(1, "risky", ["role", "role"]), email(2, "unknown"), email(3, "unknown")]
    judge(org, [no_mx, *others])
    org.publish()
    assert verdicts(org) == {
        ("email", "undeliverable", None): (1, 0.25, None),
        ("email", "undeliverable", "no_mx"): (1, 0.25, None),
        ("email", "undeliverable", "role"): (1, 0.25, None),
        ("email", "risky", None): (1, 0.25, None),
        ("email", "risky", "role"): (1, 0.25, None),
        ("email", "unknown", None): (2, 0.5, None),
    }
    assert shares(org, "email is not undeliverable") == [("note", 1, 4, 0.25, None)]
    assert shares(org, "email has a verdict") == [("warning", 1, 5, 0.2, None)]
    # No number was judged, so nothing is said of what was.
    assert shares(org, "primary_phone has a verdict") == [("warning", 1, 1, 1.0, None)]
    assert shares(org, "primary_phone is not invalid") == []
    org.clock.advance(DAY_S)
    phone = point("acme:contacts:9", "phone", "000", "invalid", reasons=["placeholder"])
    second = point("acme:contacts:9", "email", "new@x.co", "undeliverable", reasons=["no_mx"])
    judge(org, [no_mx, second, email(2, "unknown"), email(3, "deliverable"), phone])
    org.publish()
    assert verdicts(org) == {
        ("email", "undeliverable", None): (2, 0.5, 0.25),
        ("email", "undeliverable", "no_mx"): (2, 0.5, 0.25),
        ("email", "undeliverable", "role"): (1, 0.25, 0.25),
        ("email", "risky", None): (0, 0.0, 0.25),
        ("email", "risky", "role"): (0, 0.0, 0.25),
        ("email", "unknown", None): (1, 0.25, 0.5),
        ("email", "deliverable", None): (1, 0.25, 0.0),
        ("phone", "invalid", None): (1, 1.0, None),
        ("phone", "invalid", "placeholder"): (1, 1.0, None),
    }
    assert shares(org, "email is not undeliverable") == [("note", 2, 4, 0.5, 0.25)]
    assert shares(org, "primary_phone is not invalid") == [("note", 1, 1, 1.0, None)]
    # A second publish of the day is compared with yesterday's, too.
    judge(org, others)
    org.publish()
    assert verdicts(org)["email", "undeliverable", None] == (0, 0.0, 0.25)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_an_earlier_file_without_verdicts_stops_nothing(org, monkeypatch, is_damaged):
    """Where yesterday's file was made before there were verdicts, or cannot be read, its shares are NULL."""
    land(org, "companies", "1 name=Acme")
    org.normalize("companies")
    with monkeypatch.context() as patch:
        # A file of an earlier version has neither this table nor the columns of shares.
        made = "crm_pipeline.stages.published.rates.verdicts"
        patch.setattr(made, lambda *_: _nothing())
        path = org.publish().path
    if is_damaged:
        data = bytearray(path.read_bytes())
        for place in range(12_288, len(data), 4_096):
            data[place + 100] ^= 0xFF
        path.write_bytes(data)
    org.clock.advance(DAY_S)
    judge(org, [point("acme:companies:1", "phone", "0", "invalid", table_name="companies")])
    assert org.publish().changed
    assert org.query("SELECT points, share, share_yesterday FROM ops.verdicts") == [(1, 1.0, None)]
    assert shares(org, "name is empty") == [("warning", 0, 1, 0.0, None if is_damaged else 0.0)]


def _nothing():
    return operations.OpsTable(
        "verdicts_of_later", "Nothing.", {"a": (pa.string(), "Nothing.")}, []
    )
