"""Whole reads that lack many records: the missing ones stay alive until there is evidence that lost permissions cannot give."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from crm_pipeline.connectors.salesforce import describe
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.raw import Extraction, extract, refused_description, remarks_of
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.harness import Harness, HarnessMaker
from crm_sandbox.http import Request, Response

CADENCE_S = 900
EMPTY = b'{"totalSize": 0, "done": true, "records": []}'


@pytest.fixture
def org(make_harness: HarnessMaker) -> Iterator[Harness]:
    """An org whose contacts are read whole each time."""
    with make_harness(contacts=60, objects=("Contact",)) as harness:
        yield harness


def read(harness: Harness, **changed: Any) -> Extraction:
    """Read all contacts."""
    with harness.account() as account:
        account.connection = replace(account.connection, **changed)
        obj = ObjectSettings("Contact", snapshot=True)
        return extract(account, obj, None, mode="refresh", landing=harness.landing)


def alive(harness: Harness) -> int:
    """Fold what has landed as the table is folded, and return how many records are not deleted."""
    [contacts] = [entry for entry in MAPPING if entry.object == "Contact"]
    landed = collect("demo", contacts, harness.landing)
    assert landed is not None
    with Engine(harness.settings.data / "tmp", memory_limit="256MB", threads=1) as engine:
        relation = folded(engine, landed, ranked(engine, landed))
        [count] = engine.row(f"SELECT count(*) FROM {relation} WHERE _is_seen AND NOT _deleted")
    return int(count)


def built(harness: Harness) -> int:
    """Build the table and return how many of its rows are not deleted."""
    settings = harness.settings
    with Engine(settings.data / "tmp", memory_limit="256MB", threads=1) as engine:
        done = normalize(
            settings.connection("demo"),
            "contacts",
            harness.landing,
            Tables(settings.data),
            MAPPING,
            engine=engine,
        )
    return done.live


def lose(harness: Harness, share: float) -> int:
    """Remove some contacts without a trace, and return how many stay."""
    keys = sorted(row["Id"] for row in harness.org.rows("Contact"))
    for key in keys[: round(share * len(keys))]:
        harness.org.hard_delete("Contact", key)
    return harness.org.count("Contact")


@pytest.fixture
def blind(org: Harness) -> Iterator[list[bool]]:
    """Let every query return nothing while the list has True, as for a login that may see no record."""
    handle, closed = org.org.handle, [False]

    def handled(request: Request) -> Response:
        response = handle(request)
        if closed[-1] and "/queryAll" in request.path:
            return replace(response.unpacked(), body=EMPTY)
        return response

    org.org.handle = handled  # type: ignore[method-assign]
    yield closed
    del org.org.handle


def test_an_empty_list_deletes_nothing(org: Harness, blind: list[bool]) -> None:
    """An empty read is never believed, however often and however late it comes, and though its count agrees. When the
    records are back all goes on as if nothing had been."""
    read(org)
    there = alive(org)
    assert there > 20
    blind.append(True)
    for _ in range(3):
        org.advance(CADENCE_S)
        done = read(org)
        assert (done.read, done.records, done.changed) == (0, 0, False)
        assert done.shrink is not None
        assert (done.shrink.before, done.shrink.missing) == (there, there)
        assert alive(org) == there
    assert len(org.landing.windows("demo", "Contact")) == 2  # the same again is nothing new
    [remark] = remarks_of(org.landing, "demo", "Contact")
    assert remark.kind == "shrink"
    assert "accept-shrink demo Contact" in remark.cure
    blind.append(False)
    org.advance(CADENCE_S)
    done = read(org)
    assert (done.shrink, alive(org), remarks_of(org.landing, "demo", "Contact")) == (
        None,
        there,
        [],
    )


def test_a_little_less_is_believed(org: Harness) -> None:
    """A read that lacks fewer than a fifth, or fewer than five records, is believed."""
    read(org)
    there, left = alive(org), lose(org, 0.15)
    assert there - left > 5
    org.advance()
    assert read(org).shrink is None
    assert alive(org) == left


def test_a_list_that_lacks_what_the_vendor_shows_is_not_believed(org: Harness) -> None:
    """Three records of sixty are left out for a while, and the counts agree. The vendor shows them by their ids, so they
    stay alive; a cadence later the list has them again."""
    read(org)
    there, handle = alive(org), org.org.handle
    hidden = {row["Id"] for row in org.org.rows("Contact")[:3]}

    def handled(request: Request) -> Response:
        response = handle(request)
        if "/query" not in request.path:
            return response
        response = response.unpacked()
        body = json.loads(bytes(response.body))
        if "COUNT" in str(request.query) or len(body["records"]) > len(hidden):
            body["totalSize"] -= len(hidden)
        if len(body["records"]) > len(hidden):
            body["records"] = [row for row in body["records"] if row["Id"] not in hidden]
        return replace(response, body=json.dumps(body).encode())

    org.org.handle = handled  # type: ignore[method-assign]
    org.advance(CADENCE_S)
    done = read(org)
    del org.org.handle
    assert done.shrink is not None
    assert (done.shrink.missing, alive(org)) == (3, there)
    org.advance(CADENCE_S)
    assert (read(org).shrink, alive(org)) == (None, there)


@pytest.mark.parametrize(
    ("bounds", "is_believed"),
    [
        ({}, False),
        ({"shrink_percent": 50}, True),
        ({"shrink_rows": 1_000}, True),
        ({"shrink_percent": 5, "shrink_rows": 1}, False),
    ],
)
def test_how_much_is_too_much_is_a_setting(
    org: Harness, bounds: dict[str, Any], is_believed: bool
) -> None:
    """`shrink_percent` and `shrink_rows` set the loss from which a read is not believed."""
    read(org)
    there, left = alive(org), lose(org, 0.4)
    org.advance()
    assert (read(org, **bounds).shrink is None) is is_believed
    assert alive(org) == (left if is_believed else there)


def test_what_came_with_it_lands(org: Harness) -> None:
    """Changes in a read that is not believed are in the table; only missing records stay as they were."""
    read(org)
    there, left = alive(org), lose(org, 0.4)
    key = org.org.rows("Contact")[0]["Id"]
    org.advance()
    org.org.edit("Contact", key, Title="Renamed")
    org.org.create("Contact", LastName="New")
    org.advance()
    done = read(org)
    assert done.shrink is not None
    assert done.records == left + 1 + org.org.count(
        "Contact", include_deleted=True
    ) - org.org.count("Contact")
    assert alive(org) == there + 1


def test_the_same_a_cadence_later_is_believed(org: Harness) -> None:
    """A second read a cadence later is believed if every permission is as it was, and not if even more is missing."""
    read(org)
    there, left = alive(org), lose(org, 0.4)
    org.advance()
    assert read(org).shrink is not None
    org.advance(CADENCE_S - 60)
    assert read(org).shrink is not None
    assert alive(org) == there
    org.advance(60)
    done = read(org)
    assert done.shrink is None
    assert "a read of 2026-11-23 10:01 UTC lacked them too" in done.reason
    assert alive(org) == left


def test_our_clock_alone_is_no_cadence(org: Harness) -> None:
    """A clock that jumps ahead does not shorten the wait: at the vendor no time has passed."""
    read(org)
    there = alive(org)
    lose(org, 0.4)
    org.advance()
    assert read(org).shrink is not None
    org.clock.advance(CADENCE_S)
    assert read(org).shrink is not None
    assert alive(org) == there


def test_even_more_is_gone(org: Harness) -> None:
    """A second read that lacks records that the first one still had starts the wait again."""
    read(org)
    there = alive(org)
    lose(org, 0.4)
    org.advance()
    read(org)
    lose(org, 0.4)
    org.advance(CADENCE_S)
    assert read(org).shrink is not None
    assert alive(org) == there


@pytest.mark.parametrize("when", ["before", "between"])
@pytest.mark.parametrize("what", ["permission", "field"])
def test_permissions_that_changed_confirm_nothing(org: Harness, what: str, when: str) -> None:
    """What a login lost the sight of looks like what was deleted, for as long as it lasts: it has to see what it
    saw at the last good read."""
    read(org)
    there = alive(org)
    lose(org, 0.4)
    if when == "between":
        org.advance()
        assert read(org).shrink is not None
    if what == "field":
        org.org.hide_field("Contact", "VIP__c")
    else:
        [row] = org.org.rows("UserPermissionAccess")
        org.org.edit("UserPermissionAccess", row["Id"], PermissionsViewAllData=False)
    for _ in range(3):
        org.advance(CADENCE_S)
        assert read(org).shrink is not None
    assert alive(org) == there


def test_another_account_confirms_nothing(org: Harness) -> None:
    """Where nothing of what there was is left, and other records are, it may be another account: only a person
    says so, however late."""
    read(org)
    there = alive(org)
    lose(org, 1)
    for number in range(40):
        org.org.create("Contact", LastName=f"Other {number}")
    for _ in range(3):
        org.advance(CADENCE_S)
        assert read(org).shrink is not None
    assert alive(org) == there + 40


def test_a_person_may_believe_it(org: Harness, blind: list[bool]) -> None:
    """Acceptance applies to this read only: its missing records are deleted, and the next such read is not believed."""
    read(org)
    left = lose(org, 0.4)
    org.advance()
    doubted = read(org)
    org.landing.accept("demo", "Contact", doubted.window_id)
    assert remarks_of(org.landing, "demo", "Contact") == []
    assert (alive(org), built(org)) == (left, left)
    blind.append(True)
    org.advance(CADENCE_S)
    assert read(org).shrink is not None
    assert (alive(org), built(org)) == (left, left)


def test_what_windows_have_landed_counts(org: Harness, blind: list[bool]) -> None:
    """If an object is read whole for the first time and has records already, an empty read is not believed, either."""
    org.extract("Contact")
    there = alive(org)
    blind.append(True)
    org.advance()
    assert read(org).shrink is not None
    assert alive(org) == there


def hollow(harness: Harness) -> list[str]:
    """Hide a third of the fields, none of which every object has, and return their names."""
    with harness.account() as account:
        names = account.describe("Contact").names
    ours = {"Id", "IsDeleted", "SystemModstamp", "CreatedDate", "LastModifiedDate", "Title"}
    hidden = [name for name in names if name not in ours][: len(names) // 3]
    for name in hidden:
        harness.org.hide_field("Contact", name)
    return hidden


def test_a_description_that_lost_its_fields(org: Harness) -> None:
    """Records that are read without fields would lack them for good: nothing is read, status says so, and when the
    fields are back all that changed meanwhile comes with them. A person may believe it."""
    org.extract("Contact")
    hidden = hollow(org)
    key = org.org.rows("Contact")[0]["Id"]
    org.advance()
    org.org.edit("Contact", key, Title="Changed meanwhile")
    org.advance()
    with pytest.raises(
        ContractError, match=f"{len(hidden)} of .* fields are not described"
    ) as caught:
        org.extract("Contact", mode="refresh")
    assert "accept-shrink demo Contact" in caught.value.cure
    [remark] = remarks_of(org.landing, "demo", "Contact")
    assert (remark.kind, remark.cure) == ("fields", caught.value.cure)
    for name in hidden:
        org.org.hide_field("Contact", name, hidden=False)
    done = org.extract("Contact", mode="refresh")
    assert done.records == 1
    assert set(hidden) <= set(done.schema.names)
    assert remarks_of(org.landing, "demo", "Contact") == []


def test_fields_that_really_are_gone(org: Harness) -> None:
    """An accepted description is used for reading; another one that lost more is not."""
    org.extract("Contact")
    hidden = hollow(org)
    org.advance()
    with pytest.raises(ContractError):
        org.extract("Contact", mode="refresh")
    refused = refused_description(org.landing, "demo", "Contact")
    assert refused is not None
    assert (refused.lost, refused.fields) == (len(hidden), refused.fields)
    org.landing.accept_schema("demo", "Contact", refused.fingerprint)
    done = org.extract("Contact", mode="refresh")
    assert set(hidden).isdisjoint(done.schema.names)
    assert remarks_of(org.landing, "demo", "Contact") == []


def test_choices_that_are_gone(org: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pick list without choices causes a warning, and the object is read."""
    org.extract("Contact")
    schema_of = describe.schema_of

    def bare(*described: Any) -> Schema:
        schema = schema_of(*described)
        return replace(schema, fields=tuple(replace(f, values=()) for f in schema.fields))

    monkeypatch.setattr(describe, "schema_of", bare)
    org.advance()
    done = org.extract("Contact", mode="refresh")
    [warning] = done.warnings
    assert "list no choices any more" in warning
    assert "the labels of before stay" in warning
