"""The folder that commands work in: its settings, its data folder and its .env."""

import os
from pathlib import Path

from crm_pipeline import configuration
from crm_pipeline.cli.logs import to_stderr
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline.store.files.permissions import settle


def load_settings() -> Settings:
    """Read the configuration, for a command, and send log lines to stderr: stdout is for results.

    Raises:
        ConfigError: it is wrong.
        StoreError: something other than a folder stands where the data folder should be.
    """
    to_stderr()
    loaded = configuration.load_settings()
    if loaded.data.exists() and not loaded.data.is_dir():
        raise StoreError(
            f"{loaded.data} is a file, and a folder is needed there.",
            cure="Move it away, or set CRM_DATA to another folder.",
        )
    return loaded


def ready_data(settings: Settings) -> Path:
    """Make the data folder and its folder `run`, and make sure that both can be written.

    Permissions are set as configured; each change is printed.

    Raises:
        ConfigError: the group that published files are shared with cannot be had.
        StoreError: they cannot be written.
    """
    from crm_pipeline.cli.console import say, verbatim

    run = files.make_folder(settings.data / "run")
    for line in settle(settings):
        say(verbatim(line))
    for folder in (settings.data, run):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(
                f"cannot write {folder}: permission denied.",
                cure="Make the folder writable for this user, or set CRM_DATA to another folder.",
            )
    return run


def with_dotenv(settings: Settings) -> Settings:
    """Copy .env.example to .env where there is none and a connection is the sandbox's."""
    target, example = settings.root / ".env", settings.root / ".env.example"
    if not any(c.sandbox for c in settings.connections.values()):
        return settings
    if target.exists() or not example.is_file():
        return settings
    with files.replacing(target) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(example.read_bytes())
    return configuration.load_settings(settings.root)
