import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.kernel.errors import AuthFailed, DatabaseUnavailable, StoreError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey

KEY = b"k" * 32
TOKEN = StoredToken(
    access_token=Secret("access-hush"),
    refresh_token=Secret("refresh-hush"),
    instance_url="https://x.my.salesforce.com",
    issued_at=datetime(2026, 11, 23, 10, 0, 0, 123, tzinfo=UTC),
    extra={"id": "00D"},
)


@pytest.fixture
def store(database: Database) -> TokenStore:
    return TokenStore(database, StateKey(KEY))


def test_saved_and_loaded(store: TokenStore) -> None:
    """A token comes back as it was, with its version."""
    assert store.load("acme") is None
    assert store.save("acme", TOKEN) == replace(TOKEN, version=1)
    assert store.load("acme") == replace(TOKEN, version=1)
    assert store.save("acme", replace(TOKEN, refresh_token=None)).version == 2
    assert store.load("acme") == replace(TOKEN, refresh_token=None, version=2)
    assert store.load("other") is None


def test_encrypted_in_the_table(store: TokenStore, database: Database) -> None:
    """The table shows no token, and a row moved to another connection cannot be decrypted."""
    store.save("acme", TOKEN)
    with database.transaction() as cursor:
        cursor.execute("SELECT sealed FROM crm_state.tokens")
        assert b"hush" not in bytes(cursor.fetchall()[0][0])
        cursor.execute("UPDATE crm_state.tokens SET connection = 'thief'")
    with pytest.raises(StoreError, match=r"token of connection 'thief' cannot be decrypted"):
        store.load("thief")


def test_another_key(store: TokenStore, database: Database) -> None:
    """With another key the error has a cure, for reading and for refreshing."""
    store.save("acme", TOKEN)
    other = TokenStore(database, StateKey(b"l" * 32))
    with pytest.raises(StoreError, match="another key") as caught:
        other.load("acme")
    assert "`crm-pipeline login acme --forget`" in caught.value.cure
    with pytest.raises(StoreError, match="another key"):
        other.refreshed("acme", None, lambda _: TOKEN)
    assert other.save("acme", TOKEN).version == 2


def test_forgotten(store: TokenStore) -> None:
    """A forgotten token is gone, and the next one is newer than it."""
    old = store.save("acme", TOKEN)
    assert store.forget("acme") is True
    assert store.load("acme") is None
    assert store.forget("acme") is False
    assert store.refreshed("acme", old, lambda _: TOKEN).version > old.version


def test_refresh(store: TokenStore, database: Database) -> None:
    """The refresh gets the stored token; its result is committed before it is returned."""
    old = store.save("acme", TOKEN)
    asked: list[StoredToken | None] = []

    def refresh(stored: StoredToken | None) -> StoredToken:
        asked.append(stored)
        return replace(TOKEN, access_token=Secret("new"))

    new = store.refreshed("acme", old, refresh)
    assert asked == [old]
    assert (new.access_token.reveal(), new.version) == ("new", 2)
    assert TokenStore(database, StateKey(KEY)).load("acme") == new
    assert store.refreshed("acme", old, refresh) == new
    assert store.refreshed("acme", None, refresh) == new
    assert len(asked) == 1


def test_first_login(store: TokenStore) -> None:
    """Where nothing is stored the refresh gets None."""
    asked: list[StoredToken | None] = []
    store.refreshed("acme", None, lambda stored: asked.append(stored) or TOKEN)
    assert asked == [None]


def test_failed_refresh(store: TokenStore) -> None:
    """A refresh that raises changes nothing and lets the next one try at once."""
    old = store.save("acme", TOKEN)

    def refused(_: StoredToken | None) -> StoredToken:
        raise AuthFailed("no")

    with pytest.raises(AuthFailed):
        store.refreshed("acme", old, refused)
    assert store.load("acme") == old
    assert store.refreshed("acme", old, lambda _: TOKEN).version == 2


@pytest.mark.parametrize("is_same_process", [True, False])
def test_somebody_hangs(database: Database, is_same_process: bool) -> None:
    """A caller that waits too long for another's refresh gets an error with the connection's name."""
    first = TokenStore(database, StateKey(KEY), lock_timeout_s=0.05)
    second = first if is_same_process else TokenStore(database, StateKey(KEY), lock_timeout_s=0.05)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            second.refreshed("acme", None, lambda _: TOKEN)
        except StoreError as error:
            errors.append(error)

    def hang(_: StoredToken | None) -> StoredToken:
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join()
        return TOKEN

    assert first.refreshed("acme", None, hang).version == 1
    assert "refreshing the token of connection 'acme'" in str(errors[0])


def test_a_session_lost_during_a_refresh(store: TokenStore, fresh_url: str) -> None:
    """A rotated token is stored although the database dropped the session that waited for it."""
    old = store.save("acme", TOKEN)

    def refresh(_: StoredToken | None) -> StoredToken:
        with Database(fresh_url) as other, other.transaction() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return replace(TOKEN, refresh_token=Secret("rotated"))

    new = store.refreshed("acme", old, refresh)
    assert store.load("acme") == new
    assert new.refresh_token == Secret("rotated")


def seal(database: Database, text: str) -> None:
    """Put something else in the place of a token, under the right key."""
    sealed = StateKey(KEY).seal(text.encode(), context="token of connection 'acme'")
    with database.transaction() as cursor:
        cursor.execute("UPDATE crm_state.tokens SET sealed = %s", (sealed,))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"access_token": 7}', "[" * 5_000, '{"refresh_token": null}'],
)
def test_no_token_at_all(
    store: TokenStore, database: Database, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored bytes that are not a token are ignored with a warning; the next login replaces them."""
    store.save("acme", TOKEN)
    seal(database, text)
    assert store.load("acme") is None
    assert "connection=acme" in capsys.readouterr().out
    assert store.refreshed("acme", None, lambda _: TOKEN).version == 2


@pytest.mark.parametrize("spoilt", ["access_token", "instance_url", "issued_at", "extra"])
@pytest.mark.parametrize("value", [None, 7, [], "10000-99-99T99:99Z"])
def test_a_token_with_a_spoilt_part(
    store: TokenStore, database: Database, spoilt: str, value: object
) -> None:
    """The refresh token survives wrong values beside it; an unusable token is marked to be renewed."""
    whole = {
        "access_token": "access",
        "refresh_token": "refresh-hush",
        "instance_url": "https://x",
        "issued_at": "2026-11-23T10:00:00Z",
        "extra": {"login": "mark", "id": "00D"},
    }
    store.save("acme", TOKEN)
    seal(database, json.dumps({**whole, spoilt: value}))
    found = store.load("acme")
    assert found is not None
    assert found.refresh_token == Secret("refresh-hush")
    is_usable = spoilt == "issued_at" or (isinstance(value, str) and spoilt != "extra")
    assert ("login" in found.extra) == is_usable


@pytest.mark.parametrize("is_overtaken", [False, True])
def test_an_answer_to_the_commit_that_was_lost(
    store: TokenStore, fresh_url: str, monkeypatch: pytest.MonkeyPatch, is_overtaken: bool
) -> None:
    """A token whose commit succeeded without a response is used, unless a newer one was stored meanwhile; the vendor
    gets no second request."""
    old, asked = store.save("acme", TOKEN), []
    check_in, commits = Database._check_in, []

    def lost(self: Database, connection: Any) -> None:
        # The work is committed here; then the connection breaks before anybody hears of it.
        check_in(self, connection)
        if not commits:
            commits.append(1)
            if is_overtaken:
                with Database(fresh_url) as other:
                    newer = replace(TOKEN, access_token=Secret("newer"))
                    TokenStore(other, StateKey(KEY)).save("acme", newer)
            error = DatabaseUnavailable("broke")
            error.on_the_way = True
            raise error

    def refresh(_: StoredToken | None) -> StoredToken:
        asked.append(1)
        return replace(TOKEN, access_token=Secret("rotated"))

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_check_in", lost)
        new = store.refreshed("acme", old, refresh)
    expected = ("newer", 3) if is_overtaken else ("rotated", 2)
    assert (new.access_token.reveal(), new.version) == expected
    assert store.load("acme") == new
    assert asked == [1]


VENDOR = """
CREATE TABLE vendor (access int, refresh int, is_live boolean, expiries int, refreshes int);
INSERT INTO vendor VALUES (0, 0, false, 1, 0)
"""


def test_single_flight_over_processes(database: Database, fresh_url: str) -> None:
    """Two processes of four threads ask 50 times each while the session expires again and again.

    Each expiry costs exactly one refresh, and the vendor, which rotates, never sees an old refresh
    token.
    """
    with database.transaction() as cursor:
        cursor.execute(VENDOR)
    worker = Path(__file__).with_name("single_flight_worker.py")
    workers = [
        subprocess.Popen([sys.executable, "-W", "error", str(worker), fresh_url]) for _ in range(2)
    ]
    assert [process.wait(timeout=60) for process in workers] == [0, 0]
    with database.transaction() as cursor:
        cursor.execute("SELECT expiries, refreshes, is_live FROM vendor")
        expiries, refreshes, is_live = cursor.fetchall()[0]
    assert expiries > 20
    assert refreshes == expiries - (not is_live)
