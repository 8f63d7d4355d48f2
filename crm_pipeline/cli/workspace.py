"""The folder that commands work in: its settings, its data folder and its .env."""

import os
from pathlib import Path

from dotenv import dotenv_values

from crm_pipeline import configuration
from crm_pipeline.cli.logs import to_stderr
from crm_pipeline.kernel.errors import CrmError, StoreError
from crm_pipeline.kernel.secret import Secret
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
    """Copy .env.example to .env where there is none and a connection is the sandbox's.

    A .env without the sandbox's variables, such as one that `add` has made, gets those that are not set.
    """
    target, example = settings.root / ".env", settings.root / ".env.example"
    if not any(c.is_emulated for c in settings.connections.values()) or not example.is_file():
        return settings
    if target.exists():
        if not (missing := _missing_of_the_sandbox(settings, example)):
            return settings
        from crm_pipeline.cli.console import say, verbatim
        from crm_pipeline.cli.envfile import save

        try:
            done = save(settings.root, missing)
        except CrmError as error:
            # Only the sandbox's connections need them, and each of these says so.
            say(verbatim(str(error)))
            return settings
        for line in (*done, f"added to {target}, from .env.example: {', '.join(missing)}"):
            say(verbatim(line))
        return configuration.load_settings(settings.root)
    with files.replacing(target) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(example.read_bytes())
    return configuration.load_settings(settings.root)


def _missing_of_the_sandbox(settings: Settings, example: Path) -> dict[str, Secret]:
    """Return the public credentials of the sandbox that connections name and nothing sets."""
    public = dotenv_values(example, interpolate=False, encoding="utf-8")
    named = [
        variable
        for connection in settings.connections.values()
        if connection.is_emulated
        for variable in connection.auth.variables.values()
    ]
    named += [p.key_variable for p in settings.providers.values() if p.sandbox]
    values = {name: public.get(name) for name in named if not settings.environ.get(name, "")}
    return {name: Secret(value) for name, value in values.items() if value}
