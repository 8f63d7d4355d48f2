"""Databases that tests borrow one after another behave like new ones."""

import psycopg2
import pytest

from crm_pipeline_tests.servers import database_of_its_own

TOKENS = "SELECT count(*) FROM crm_state.tokens"


def rows_of(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def borrowed(postgres_url: str, *statements: str, times: int = 4) -> set[str]:
    """Borrow several times, so that some have been lent before; return the URLs."""
    urls = set()
    for _ in range(times):
        with database_of_its_own(postgres_url) as url:
            urls.add(url)
            assert rows_of(url, TOKENS) == [(0,)]
            for statement in statements:
                rows_of(url, statement)
    return urls


def test_nobody_sees_what_others_wrote(postgres_url: str) -> None:
    """Rows of an earlier borrower are gone, and no name is given out twice."""
    assert len(borrowed(postgres_url, "INSERT INTO crm_state.tokens VALUES ('a')")) == 4


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE crm_state.gate ADD COLUMN odd int",
        "CREATE TABLE crm_state.odd (a int)",
        "DROP SCHEMA crm_state CASCADE",
        "UPDATE crm_state.migrations SET sha256 = 'odd'",
    ],
)
def test_nobody_gets_a_schema_that_was_changed(postgres_url: str, change: str) -> None:
    """A database whose tables or migrations are not what they were is not lent again."""
    borrowed(postgres_url, change)
    odd = "SELECT count(*) FROM information_schema.columns WHERE 'odd' IN (column_name, table_name)"
    for _ in range(3):
        with database_of_its_own(postgres_url) as url:
            assert rows_of(url, odd) == [(0,)]
            changed = "SELECT count(*) FROM crm_state.migrations WHERE sha256 = 'odd'"
            assert rows_of(url, changed) == [(0,)]


def test_an_earlier_borrower_finds_nothing(postgres_url: str) -> None:
    """A thread or a program that a test left behind cannot reach the database of a later test."""
    first, *_ = urls = sorted(borrowed(postgres_url))
    with database_of_its_own(postgres_url), database_of_its_own(postgres_url):
        for url in urls[:-2]:
            with pytest.raises(psycopg2.OperationalError, match="does not exist"):
                rows_of(url, "SELECT 1")
    assert first
