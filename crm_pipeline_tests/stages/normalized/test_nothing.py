"""Texts that mean no value, as databases without NULL write them."""

import json
from typing import Any

import pytest

from crm_pipeline.model.mapping import FieldMap, ObjectMap, same
from crm_pipeline.model.schema import Field, Schema

NEVER = "1970-01-01T00:00:00Z"
ZERO = ("0000-00-00 00:00:00", "0000-00-00", "-0001-11-30T00:00:00+00:00")
MAPS = (
    ObjectMap(
        "people",
        "users",
        (*same("id=source_id name=full_name"), FieldMap("login", "last_login_at")),
    ),
)


def records(texts: list[str]) -> list[dict[str, Any]]:
    return [{"id": f"{n:02}", "name": "x", "login": text} for n, text in enumerate(texts)]


def build(org: Any, texts: list[str], maps: Any = MAPS, nothing: tuple[str, ...] = ()) -> Any:
    org.maps = maps
    fields = (
        Field("name", "Name", "x"),
        Field("login", "Login", "datetime", "timestamp", form="local", nothing=nothing),
    )
    org.land_records(Schema("people", "People", fields), records(texts))
    return org.normalize("users")


def test_a_day_that_is_none_refuses_no_table(org: Any) -> None:
    """25 of 60 users never logged in: 60 rows, NULL for 25, the text in `custom`, and nothing to correct."""
    good = "2026-01-02 03:04:05"
    build(org, [good] * 60)
    result = build(org, [ZERO[n % 3] if n < 25 else good for n in range(60)])
    assert (result.rows, result.unconverted, result.warnings) == (60, {}, ())
    rows = org.rows("users", "source_id, last_login_at IS NULL, custom, unconverted")
    assert [is_null for _, is_null, _, _ in rows] == [True] * 25 + [False] * 35
    texts = [json.loads(custom).get("login") for _, _, custom, _ in rows]
    assert texts == [ZERO[n % 3] if n < 25 else None for n in range(60)]
    assert {bad for *_, bad in rows} == {None}
    org.publish()
    assert org.query('SELECT count("Login"), count("unconverted") FROM crm_acme.people') == [
        (35, 0)
    ]


@pytest.mark.parametrize("is_in_schema", [True, False])
def test_a_vendors_own_sign_for_nothing(org: Any, is_in_schema: bool) -> None:
    """1970-01-01 means no value only in fields that are declared so."""
    build(org, [NEVER])
    assert org.rows("users", "epoch_ms(last_login_at), unconverted") == [(0, None)]
    mapped = (
        *same("id=source_id name=full_name"),
        FieldMap("login", "last_login_at", nothing=(NEVER,)),
    )
    maps = MAPS if is_in_schema else (ObjectMap("people", "users", mapped),)
    build(org, [NEVER], maps, (NEVER,) if is_in_schema else ())
    [(at, bad, custom)] = org.rows("users", "last_login_at, unconverted, custom")
    assert (at, bad, json.loads(custom)["login"]) == (None, None, NEVER)
