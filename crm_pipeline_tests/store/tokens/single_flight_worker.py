"""A process of `test_tokens.py`: four threads that use a session which they also make expire."""

import sys
import threading
from datetime import UTC, datetime

from crm_pipeline.kernel.secret import Secret
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey

database = Database(sys.argv[1])
store = TokenStore(database, StateKey(b"k" * 32))
failures: list[BaseException] = []


def ask_vendor(sql: str, *values: int) -> tuple | None:
    with database.transaction() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def refresh(stored: StoredToken | None) -> StoredToken:
    shown = int(stored.refresh_token.reveal()) if stored else 0
    row = ask_vendor(
        "UPDATE vendor SET access = access + 1, refresh = refresh + 1, is_live = true,"
        " refreshes = refreshes + 1 WHERE refresh = %s AND NOT is_live RETURNING access, refresh",
        shown,
    )
    assert row, "an old refresh token, or a refresh that nobody needed"
    return StoredToken(Secret(str(row[0])), Secret(str(row[1])), "", datetime.now(UTC))


def use_session(number: int) -> None:
    token = store.refreshed("acme", None, refresh)
    for call in range(50):
        while not ask_vendor(
            "SELECT 1 FROM vendor WHERE is_live AND access = %s", int(token.access_token.reveal())
        ):
            token = store.refreshed("acme", token, refresh)
        if (call + number) % 7 == 0:
            ask_vendor(
                "UPDATE vendor SET is_live = false, expiries = expiries + 1"
                " WHERE is_live AND access = %s RETURNING 1",
                int(token.access_token.reveal()),
            )


def work(number: int) -> None:
    try:
        use_session(number)
    except BaseException as error:
        failures.append(error)
        raise


threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
database.close()
sys.exit(len(failures))
