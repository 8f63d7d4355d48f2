"""`add`: from nothing to a connection that has been checked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.kernel.errors import ConfigError, CrmError

if TYPE_CHECKING:
    from crm_pipeline.cli.draft import Draft, Entry
    from crm_pipeline.cli.prompts import Prompter
    from crm_pipeline.kernel.secret import Secret
    from crm_pipeline.settings import Connection, Settings

_SHOWN = frozenset({"username", "private_key_file"})  # no secrets


def add(
    name: Annotated[str | None, typer.Argument(help="Its name, such as salesforce_emea.")] = None,
    *,
    vendor: Annotated[
        str | None, typer.Option(help="The CRM, such as salesforce or hubspot.")
    ] = None,
    login_url: Annotated[
        str | None, typer.Option("--login-url", help="Address of the account, https://...")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="How to log in; docs/connections.md has the kinds.")
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", metavar="KEY=NAME", help="Name of a variable; may be repeated."),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="An account of the sandbox on this machine.")
    ] = False,
    discover: Annotated[
        bool, typer.Option("--discover", help="If the check is good, fill in the objects.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take what is proposed.")
    ] = False,
) -> None:
    """Add an account to connections.yaml, step by step, and check it.

    Asks for what the options leave open: vendor, name, address, kind of login, secrets (typed unseen, and
    written into .env only if you say so). Then it logs in, checks, and offers to fill in the objects. What
    is in the files already is never changed. Without a terminal, or with --yes, nothing is asked: NAME,
    --vendor, --kind and --login-url (or --sandbox, which has an address of its own) are needed then, and the
    secrets have to be in the environment or in .env.

    For instance:

      crm-pipeline add
      crm-pipeline add salesforce_acme --vendor salesforce --kind refresh_token
      crm-pipeline add salesforce_acme --vendor salesforce --login-url https://acme.my.salesforce.com --kind client_credentials --yes
      crm-pipeline add acme --vendor salesforce --login-url https://acme.my.salesforce.com --kind jwt_bearer --variable private_key=ACME_PEM --yes
    """
    from crm_pipeline.cli.draft import Draft
    from crm_pipeline.cli.prompts import Prompter, is_interactive
    from crm_pipeline.cli.questions import completed
    from crm_pipeline.settings.load import settings_file

    asker = Prompter(asks=is_interactive() and not yes)
    draft = Draft(settings_file())
    options = {"vendor": vendor, "name": name, "login_url": login_url, "kind": kind}
    given = {key: value for key, value in options.items() if value is not None}
    entry = completed(asker, draft, given, sandbox=sandbox, variables=_named(variable or []))
    text = draft.write(entry)
    asker.say(f"added '{entry.name}' to {draft.path}")
    try:
        _finish(asker, draft, entry, text, discovers=discover)
    except (KeyboardInterrupt, typer.Abort):
        asker.say(
            f"\ninterrupted: the entry '{entry.name}' stays in {draft.path}, unchecked. "
            f"Go on with `crm-pipeline check {entry.name}`, or remove it there."
        )
        raise


def _named(pairs: Sequence[str]) -> dict[str, str]:
    named = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ConfigError(
                f"--variable {pair}: is not of the form KEY=NAME.",
                cure="Write it like --variable client_id=ACME_CLIENT_ID.",
            )
        named[key.removesuffix("_env")] = value
    return named


def _finish(
    asker: "Prompter", draft: "Draft", entry: "Entry", text: str, *, discovers: bool
) -> None:
    """Ask for secrets, log in, check, fill in the objects, and name the next command."""
    from crm_pipeline.cli.login import offer_of
    from crm_pipeline.cli.workspace import load_settings

    plain = load_settings()
    if entry.sandbox and asker.asks:
        asker.say("The sandbox's credentials are public: `crm-pipeline sandbox` prints them.")
    typed = _typed(asker, plain, entry)
    settings = replace(plain, environ={**plain.environ, **_revealed(typed)})
    chosen = settings.connection(entry.name)
    if offer_of(settings, chosen):
        _save(asker, plain, typed)
        typed = {}
        if not _logged_in(asker, settings, chosen):
            asker.say(f"Next: crm-pipeline login {entry.name}")
            return
    is_healthy = _is_healthy(settings, entry.name)
    # Nothing is in .env yet: a secret that was mistyped is typed again, and none is left behind.
    while not is_healthy and typed and asker.confirms("Type the secrets again?", proposal=True):
        typed = _typed(asker, plain, entry)
        settings = replace(plain, environ={**plain.environ, **_revealed(typed)})
        is_healthy = _is_healthy(settings, entry.name)
    if not is_healthy:
        if asker.confirms("Take the entry out of connections.yaml again?", proposal=False):
            undone = draft.take_back(text)
            asker.say(
                f"{draft.path} is as it was" if undone else "the file has changed since: left"
            )
        else:
            _save(asker, plain, typed)
            if entry.sandbox and not _is_served(chosen):
                asker.say("The sandbox is started by `crm-pipeline sandbox`, in another terminal.")
            asker.say(f"The entry stays. When it is corrected: crm-pipeline check {entry.name}")
        raise typer.Exit(1)
    _save(asker, plain, typed)
    if discovers or asker.confirms("Fill in the objects that it holds?", proposal=True):
        from crm_pipeline.cli.accounts import discovered

        discovered(settings, chosen, write=True)
        _say_cost(asker, settings, entry.name)
        asker.say(f"Next: crm-pipeline backfill {entry.name}")
    else:
        asker.say(f"Next: crm-pipeline discover {entry.name} --write")


def _say_cost(asker: "Prompter", settings: "Settings", name: str) -> None:
    """Say what automation of the new objects costs; `settings` hold the secrets that were typed."""
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.automation import line, pace_of
    from crm_pipeline.cli.workspace import load_settings

    current = replace(load_settings(), environ=settings.environ)
    with account_of(current, current.connection(name)) as account:
        asker.say(line(current, pace_of(current, account)))


def _typed(asker: "Prompter", settings: "Settings", entry: "Entry") -> "dict[str, Secret]":
    """Ask for the secrets that are not set yet."""
    from crm_pipeline.cli.questions import WORDS
    from crm_pipeline.kernel.secret import Secret

    typed: dict[str, Secret] = {}
    for key, variable in entry.variables.items():
        if settings.environ.get(variable, "").strip():
            asker.say(f"  [dim]{variable} is set already[/]")
            continue
        hidden = key not in _SHOWN
        how = "not shown, " if hidden else ""
        question = f"{WORDS[key]} ({how}Enter leaves {variable} for later)"
        if value := asker.value(question, hidden=hidden):
            typed[variable] = Secret(value)
    return typed


def _save(asker: "Prompter", settings: "Settings", typed: "Mapping[str, Secret]") -> None:
    """Write typed secrets into .env if that is wanted."""
    from crm_pipeline.cli.envfile import save

    if not typed:
        return
    file = settings.root / ".env"
    if asker.confirms(f"Write {', '.join(typed)} into {file} (mode 0600)?", proposal=True):
        try:
            for done in save(settings.root, typed):
                asker.say(done)
            asker.say(f"written into {file}")
        except CrmError as error:
            asker.complain(error.message, error.cure)
    else:
        asker.say(f"Kept for this check only. Export later: {', '.join(typed)}")


def _revealed(secrets: "Mapping[str, Secret]") -> dict[str, str]:
    return {name: secret.reveal() for name, secret in secrets.items()}


def _logged_in(asker: "Prompter", settings: "Settings", chosen: "Connection") -> bool:
    """Offer the login by a person; say whether it was done."""
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.login import callback_address, has_browser, log_in

    redirect_uri = callback_address(chosen)
    if not asker.confirms("Log in now, in the browser?", proposal=True):
        return False
    try:
        with account_of(settings, chosen) as account:
            log_in(account, redirect_uri, paste=not has_browser(), opens_browser=True, wait_s=300)
    except CrmError as error:
        asker.complain(error.message, error.cure)
        return False
    return True


def _is_served(chosen: "Connection") -> bool:
    """Say whether the sandbox of a connection listens: then something else is wrong."""
    from crm_pipeline.cli.sandboxes import sandbox_address
    from crm_pipeline.supervisor.health import is_listening

    address = sandbox_address(chosen)
    return address is not None and is_listening(*address)


def _is_healthy(settings: "Settings", name: str) -> bool:
    from crm_pipeline.cli.accounts import checked, show_checkup

    (checkup,) = checked(settings, [name])
    show_checkup(checkup)
    return checkup.is_healthy
