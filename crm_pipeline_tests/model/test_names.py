import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.model.names import Taken, encodable, inner, literal, quoted, shown
from crm_pipeline_tests.stages import hostile


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as database:
        yield database


def test_texts_survive_sql(database):
    """A literal keeps its text, including NUL and quotes, and never ends SQL early."""
    texts = [*hostile.NAMES, *hostile.TEXTS]
    sql = f"SELECT {', '.join(map(literal, texts))}"
    assert "\0" not in sql
    assert list(database.execute(sql).fetchone()) == texts
    assert literal(None) == "NULL"


def test_half_a_surrogate_pair_is_replaced(database):
    """Half a surrogate pair cannot be encoded, and is replaced."""
    half = "a\ud83db\ude00"
    assert encodable(half) == "a\ufffdb\ufffd"
    assert database.execute(f"SELECT {literal(half)}").fetchall() == [("a\ufffdb\ufffd",)]


@given(st.lists(hostile.names | st.text(max_size=4), unique=True, max_size=20))
def test_inner_names_are_plain_and_differ(names):
    """Names that differ in any way have identifiers that differ even in lower case, without quotes."""
    made = [inner(name) for name in names]
    assert len({name.lower() for name in made}) == len(names)
    assert all(name.isascii() and name.isprintable() and '"' not in name for name in made)


def test_plain_names_stay_readable():
    """A field is recognizable in SQL."""
    assert [inner("hs_object_id"), inner("Ext_Id__c")] == ["hs_object_id", "^ext_^id__c"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Amount (net)", "Amount (net)"),
        (" lead ", " lead "),
        ("a\nb\tc", "a b c"),
        ("a\0b\x1b[31m", "a\ufffdb\ufffd[31m"),
        ("half \ud83d", "half \ufffd"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_names_that_people_see(database, name, expected):
    """Control characters do not reach terminals; blanks alone are no name."""
    assert shown(name) == expected
    if expected:
        database.execute(f"SELECT 1 AS {quoted(shown(name))}")
        assert database.description[0][0] == expected


def test_columns_get_names_that_duckdb_tells_apart(database):
    """The first choice that is free in whatever case, or the last with a number."""
    taken = Taken(["crm_key"])
    asked = ["CRM_KEY", "Same", "same", "SAME", "", "É", "é"]
    names = [taken.take(*([name] if name else []), "no name") for name in asked]
    assert names == ["no name", "Same", "no name 2", "no name 3", "no name 4", "É", "no name 5"]
    database.execute(f"CREATE TABLE t ({', '.join(f'{quoted(n)} INT' for n in names)})")
