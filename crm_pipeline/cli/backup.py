"""`backup` and `restore`: what exists only in PostgreSQL, into one file and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer


def backup(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write it; crm-state-<time>.zip by default.")
    ] = None,
) -> None:
    """Save what exists only in PostgreSQL: tokens, call accounts, decisions.

    Tokens stay encrypted; the key (CRM_STATE_KEY, or state.key in the data folder) is not in the
    file and belongs somewhere else. Landed records and tables are files below data/ and need no
    more than a copy of that folder; Dagster's runs and events are not part of this.

    For instance:

      crm-pipeline backup /mnt/backups/crm-state.zip
    """
    from crm_pipeline.cli.console import say, working
    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.store.postgres.database import running_database
    from crm_pipeline.store.tokens import backup as store
    from crm_pipeline.store.tokens.state_key import StateKey

    settings = load_settings()
    now = SystemClock().now()
    path = (file or Path(f"crm-state-{now:%Y%m%dT%H%M%SZ}.zip")).absolute()
    key = StateKey.of(settings)
    with working("saving"), running_database(settings) as database:
        done = store.backup(database, key, path, now, settings.data)
    say(f"{done.path}: {_counted(done.rows)}.")
    say(f"It needs the key from {key.origin}, which is not in it: keep that apart from it.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of what is there.")
    ] = False,
    without_tokens: Annotated[
        bool, typer.Option("--without-tokens", help="All but the tokens: the key is lost.")
    ] = False,
) -> None:
    """Put a backup back, all of it or nothing.

    Stop `up` and other runs first. A token that the vendor has replaced since the backup was made is
    worth nothing any more; the run that meets it says so, and `crm-pipeline login` gets another.

    For instance:

      crm-pipeline restore /mnt/backups/crm-state.zip
    """
    from crm_pipeline.cli.console import say, working
    from crm_pipeline.cli.workspace import load_settings, ready_data
    from crm_pipeline.store.postgres.database import running_database
    from crm_pipeline.store.tokens import backup as store
    from crm_pipeline.store.tokens.state_key import StateKey

    settings = load_settings()
    ready_data(settings)
    with working("restoring"), running_database(settings) as database:
        done = store.restore(
            database,
            StateKey.of(settings),
            file,
            is_replacing=replace,
            without_tokens=without_tokens,
            data=settings.data,
        )
    say(f"restored what was saved at {done.made_at:%Y-%m-%d %H:%M} UTC: {_counted(done.rows)}.")


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{table} {count:,}" for table, count in sorted(rows.items())) or "nothing"
