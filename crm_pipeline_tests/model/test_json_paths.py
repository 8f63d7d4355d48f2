import json

import duckdb

from crm_pipeline.model.json_paths import Layout
from crm_pipeline_tests.stages.hostile import NAMES


def read(document, paths, lists=()):
    layout = Layout(paths, lists)
    texts = [layout.text("r", path) for path in paths]
    elements = [layout.elements("r", path) for path in lists]
    sql = (
        f"SELECT {', '.join([*texts, *elements])} FROM "
        f"(SELECT {layout.columns('d', 'r')} FROM (SELECT $d::VARCHAR AS d))"
    )
    with duckdb.connect() as database:
        return list(database.execute(sql, {"d": json.dumps(document)}).fetchone())


def test_every_key_is_read():
    """Keys with NUL, quotes or nothing in them, and keys that differ in case only, at the root and below."""
    flat = {name: f"v{place}" for place, name in enumerate(NAMES)}
    paths = [(name,) for name in NAMES] + [("below", name) for name in NAMES]
    assert read({**flat, "below": flat}, paths) == [*flat.values()] * 2


def test_a_key_that_is_not_there_is_null():
    """A key in another case is another key."""
    assert read({"a": 1, "B": 2}, [("A",), ("b",), ("b", ""), ("", "")]) == [None] * 4


def test_a_text_and_what_is_in_it():
    """A value is read whole and in parts, whatever its parts are called."""
    paths = [("a",), ("a", "x"), ("a", "*"), ("a", "X"), ("a", "x", "")]
    document = {"a": {"x": {"": 1}, "*": "star", "X": None}}
    assert read(document, paths) == [
        '{"x":{"":1},"*":"star","X":null}',
        '{"":1}',
        "star",
        None,
        "1",
    ]


def test_lists_behind_odd_keys():
    """Lists are split into elements at any path."""
    document = {"A": [1, {"b": 2}], "a": ["x"], "": [], "n": None}
    found = read(document, [], [("A",), ("a",), ("",), ("n",)])
    assert found == [["1", '{"b":2}'], ['"x"'], [], None]
