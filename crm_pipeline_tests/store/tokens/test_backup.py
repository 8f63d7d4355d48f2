import contextlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import ConfigError, CorruptFile, StoreError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.ratelimit.usage import UsageCounts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.migrations import apply_migrations, migration_files
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.backup import backup, restore
from crm_pipeline.store.tokens.state_key import StateKey

KEY = StateKey(b"k" * 32)
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TOKEN = StoredToken(
    access_token=Secret("access-hush"),
    refresh_token=Secret("refresh-hush"),
    instance_url="https://x.my.salesforce.com",
    issued_at=NOW,
    extra={"id": "00D"},
)


def fill(database: Database) -> None:
    TokenStore(database, KEY).save("acme", TOKEN)
    counts = UsageCounts(database)
    counts.add(("acme", "acme", "query\twith a tab"), 3, 3)
    counts.flush()


def everything(database: Database) -> list[object]:
    with database.transaction() as cursor:
        cursor.execute("SELECT connection, version, sealed::text, updated_at FROM crm_state.tokens")
        tokens = cursor.fetchall()
        cursor.execute("SELECT * FROM crm_state.api_usage ORDER BY 1, 2, 3")
        return [tokens, cursor.fetchall()]


def emptied(database: Database) -> None:
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM crm_state.tokens; DELETE FROM crm_state.api_usage")


@pytest.fixture
def saved(database: Database, tmp_path: Path) -> Path:
    fill(database)
    return backup(database, KEY, tmp_path / "state.zip", NOW).path


def test_there_and_back(database: Database, saved: Path) -> None:
    """Restored rows equal the original ones in all tables and columns, and tokens are usable."""
    before = everything(database)
    emptied(database)
    done = restore(database, KEY, saved)
    assert everything(database) == before
    assert done.rows == {"api_usage": 1, "purchases": 0, "tokens": 1}
    assert done.made_at == NOW
    stored = TokenStore(database, KEY).load("acme")
    assert stored is not None
    assert stored.refresh_token == TOKEN.refresh_token


def test_accounts_from_before_members_were_known(database: Database, tmp_path: Path) -> None:
    """A backup of the first version, whose accounts name no member: they are the group's own."""
    with database.transaction() as cursor:
        cursor.execute("DROP SCHEMA crm_state CASCADE")
        apply_migrations(cursor, migration_files()[:1])
        cursor.execute(
            "INSERT INTO crm_state.api_usage VALUES ('acme', '2026-11-24', 'query', 5, 5)"
        )
    made = backup(database, KEY, tmp_path / "old.zip", NOW)
    emptied(database)
    database.migrate()
    restore(database, KEY, made.path)
    (found,) = UsageCounts(database).by_day("acme", None)
    assert (found.member, found.calls) == ("acme", 5)


def test_holds_no_secret(saved: Path) -> None:
    """The file shows no token, no key, and nobody else may read it."""
    with zipfile.ZipFile(saved) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"hush" not in content
    assert (b"k" * 32) not in content
    assert saved.stat().st_mode & 0o777 == 0o600


def test_overwrites_nothing_unasked(database: Database, saved: Path) -> None:
    """Tables with rows refuse a restore; with replacing the backup stands in their place."""
    TokenStore(database, KEY).save("later", TOKEN)
    before = everything(database)
    with pytest.raises(ConfigError, match=r"table tokens already holds rows|table api_usage"):
        restore(database, KEY, saved)
    assert everything(database) == before
    restore(database, KEY, saved, is_replacing=True)
    assert TokenStore(database, KEY).load("later") is None


def test_another_key(database: Database, saved: Path) -> None:
    """Under another key nothing is restored but what needs none, and only on request."""
    emptied(database)
    other = StateKey(b"l" * 32)
    with pytest.raises(ConfigError, match="sealed under another key") as caught:
        restore(database, other, saved)
    assert "--without-tokens" in caught.value.cure
    done = restore(database, other, saved, without_tokens=True)
    assert done.rows == {"api_usage": 1, "purchases": 0}
    assert TokenStore(database, other).load("acme") is None


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_truncated(database: Database, saved: Path, keep: int) -> None:
    """A file that is cut off restores nothing."""
    emptied(database)
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CorruptFile, match="no backup of ours or is damaged"):
        restore(database, KEY, saved)
    assert everything(database) == [[], []]


def test_flipped_bits(database: Database, saved: Path) -> None:
    """A changed byte is an error or has no effect; it never restores other rows."""
    before, content = everything(database), saved.read_bytes()
    for place in range(0, len(content), 7):
        spoiled = bytearray(content)
        spoiled[place] ^= 0xFF
        saved.write_bytes(spoiled)
        with contextlib.suppress(StoreError, ConfigError):
            restore(database, KEY, saved, is_replacing=True)
        assert everything(database) == before


def rewritten(path: Path, change: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()} | change
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            archive.writestr(name, value)


def test_rows_missing(database: Database, saved: Path) -> None:
    """If one table's rows do not fit the manifest, no table is restored."""
    emptied(database)
    rewritten(saved, {"tokens.copy": b""})
    with pytest.raises(CorruptFile, match="0 of 1 rows"):
        restore(database, KEY, saved)
    assert everything(database) == [[], []]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"format": 1', b'"format": 2', "format 2"),
        (b"0001_state.sql", b"9999_later.sql", "newer version"),
        (b'"rows"', b'"lines"', "manifest"),
    ],
)
def test_not_of_this_version(
    database: Database, saved: Path, old: bytes, new: bytes, words: str
) -> None:
    """A backup of another format or of a newer product is refused in words."""
    emptied(database)
    with zipfile.ZipFile(saved) as archive:
        manifest = archive.read("manifest.json")
    assert old in manifest
    rewritten(saved, {"manifest.json": manifest.replace(old, new)})
    with pytest.raises(StoreError, match=words):
        restore(database, KEY, saved)


def test_missing(database: Database, tmp_path: Path) -> None:
    """A missing file is named as missing."""
    with pytest.raises(StoreError, match="there is no backup"):
        restore(database, KEY, tmp_path / "none.zip")


def test_generated_keys_go_on(database: Database, tmp_path: Path) -> None:
    """A table that a later version adds is in the backup, and its next key is a new one."""
    with database.transaction() as cursor:
        cursor.execute(
            "CREATE TABLE crm_state.decisions (id bigint GENERATED ALWAYS AS IDENTITY, word text);"
            "INSERT INTO crm_state.decisions (word) VALUES ('join'), ('split')"
        )
    path = backup(database, KEY, tmp_path / "state.zip", NOW).path
    with database.transaction() as cursor:
        cursor.execute("TRUNCATE crm_state.decisions RESTART IDENTITY")
    restore(database, KEY, path)
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO crm_state.decisions (word) VALUES ('join')")
        cursor.execute("SELECT id, word FROM crm_state.decisions ORDER BY id")
        assert cursor.fetchall() == [(1, "join"), (2, "split"), (3, "join")]
