"""The questions of `add`; each answer is checked before the next question."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from crm_pipeline.cli.draft import Draft, Entry
from crm_pipeline.cli.prompts import Prompter
from crm_pipeline.connectors.registry import connector, vendors
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.settings.dotenv_file import read_dotenv
from crm_pipeline.settings.variables import VARIABLE

_SANDBOX = "sandbox"
# The variables in words.
WORDS = {
    "token": "token",
    "client_id": "client id of the app (consumer key)",
    "client_secret": "client secret of the app (consumer secret)",
    "refresh_token": "first refresh token",
    "username": "name of the user that logs in",
    "private_key_file": "path of the private key's file (PEM)",
    "private_key": "private key (PEM, one line with \\n)",
}


def completed(
    asker: Prompter,
    draft: Draft,
    given: Mapping[str, str],
    *,
    sandbox: bool,
    variables: Mapping[str, str],
) -> Entry:
    """Return the complete entry; each answer is checked at once.

    Args:
        asker: asks for what is not given.
        draft: the file that the entry has to fit into.
        given: values of `vendor`, `name`, `login_url` and `kind`, as far as they are known.
        sandbox: whether it is an account of the sandbox.
        variables: names of variables that are given.

    Raises:
        ConfigError: something is wrong, or missing where nobody can be asked.
    """
    values = dict(given)
    if len(vendors()) == 1:
        values.setdefault("vendor", vendors()[0])
    missing = [key for key in _QUESTIONS if key not in values]
    if sandbox and "login_url" in missing:
        missing.remove("login_url")
    if missing and not asker.asks:
        raise _not_interactive(missing)
    if "login_url" in values:
        values["login_url"] = _whole(values["login_url"])
    entry = Entry.blank(values.get("vendor") or vendors()[0])
    entry = replace(entry, sandbox=sandbox, variables=variables, **values)
    _refuse_unknown(entry)
    if "name" in values:
        # A name that is taken or malformed is refused before anything is asked.
        draft.refuse(replace(Entry.blank(entry.vendor), name=entry.name))
    for key in missing:
        entry = _QUESTIONS[key](asker, draft, entry)
    if sandbox and "login_url" not in values:
        entry = replace(entry, login_url=draft.sandbox_address(entry.vendor))
    entry = _with_variables(asker, entry, _environ(draft.path.with_name(".env")))
    draft.refuse(entry)
    return entry


def _not_interactive(missing: list[str]) -> ConfigError:
    options = ["NAME" if key == "name" else "--" + key.replace("_", "-") for key in missing]
    verb = "is" if len(options) == 1 else "are"
    crms = f"--vendor is one of {', '.join(vendors())}. " if "vendor" in missing else ""
    return ConfigError(
        f"nobody can be asked here, and {', '.join(options)} {verb} missing.",
        cure=f"{crms}Add what is missing, or run the command in a terminal and without --yes. "
        "`crm-pipeline add --help` shows examples.",
    )


def _ask_vendor(asker: Prompter, draft: Draft, entry: Entry) -> Entry:  # noqa: ARG001
    asker.say("Which CRM is it?")
    options = {name: connector(name).address_example for name in vendors()}
    return replace(entry, vendor=asker.choice("CRM", options))


def _ask_name(asker: Prompter, draft: Draft, entry: Entry) -> Entry:
    asker.say(
        "Its name becomes part of paths and of the schema crm_<name>: choose it once, keep it."
    )

    def accepted(answer: str) -> str:
        draft.refuse(replace(Entry.blank(entry.vendor), name=answer))
        return answer

    return replace(entry, name=asker.text(f"Name, such as {entry.vendor}_emea", "", accepted))


def _ask_address(asker: Prompter, draft: Draft, entry: Entry) -> Entry:
    example = connector(entry.vendor).address_example
    local = draft.sandbox_address(entry.vendor)
    asker.say(
        f"Where does the account live? Like {example}; '{_SANDBOX}' is the sandbox on this machine, {local}."
    )

    def placed(answer: str) -> Entry:
        if answer == _SANDBOX:
            return replace(entry, login_url=local, sandbox=True)
        return replace(entry, login_url=_whole(answer))

    def accepted(answer: str) -> str:
        refused: ConfigError | None = None
        for login in connector(entry.vendor).logins:
            try:
                draft.refuse(_assumed(replace(placed(answer), kind=login.kind)))
            except ConfigError as error:
                refused = refused or error  # of the login that is listed first
            else:
                return answer
        assert refused is not None  # every vendor has a login
        raise refused

    proposal = example if getattr(connector(entry.vendor), "has_one_address", False) else ""
    return placed(asker.text("Address", proposal, accepted))


def _whole(address: str) -> str:
    whole = address if "://" in address else f"https://{address}"
    return whole.rstrip("/")


def _ask_kind(asker: Prompter, draft: Draft, entry: Entry) -> Entry:
    options = {login.kind: login.summary for login in connector(entry.vendor).logins}
    if len(options) == 1:
        return replace(entry, kind=next(iter(options)))
    asker.say("How shall it log in? docs/connections.md says what to set up for each.")
    while True:
        chosen = replace(entry, kind=asker.choice("Kind of login", options))
        try:
            draft.refuse(_assumed(chosen))
        except ConfigError as error:
            asker.complain(error.message, error.cure)
        else:
            return chosen


def _assumed(entry: Entry) -> Entry:
    """Return an entry with the variables that it may get, the client's secret included: some vendors insist on it."""
    blank = replace(entry, variables={})
    secret = tuple(key for key in blank.rules.optional if key == "client_secret")
    return replace(blank, variables=blank.proposed(secret))


def _refuse_unknown(entry: Entry) -> None:
    kinds = [login.kind for login in connector(entry.vendor).logins]
    if entry.kind not in kinds:
        raise UnknownName("kind of login", entry.kind, kinds)


def _environ(file: Path) -> Mapping[str, str]:
    """Return the names that the environment or .env has values for."""
    return {name: value for name, value in {**read_dotenv(file), **os.environ}.items() if value}


def _with_variables(asker: Prompter, entry: Entry, environ: Mapping[str, str]) -> Entry:
    for key in entry.variables:
        if key not in entry.rules.variables:
            raise UnknownName("variable", key, entry.rules.variables, where=f"kind {entry.kind}")
    # Whoever has set an optional variable under its usual name means it to be used.
    optional = entry.proposed(entry.rules.optional)
    wanted = tuple(
        key
        for key in entry.rules.optional
        if optional[key] in environ
        or (
            key == "client_secret"
            and key not in entry.variables
            and asker.confirms("Does the app ask for its client secret as well?", proposal=True)
        )
    )
    names = entry.proposed(wanted)
    if names.keys() <= entry.variables.keys():
        return replace(entry, variables=names)
    asker.say(f"It reads its secrets from environment variables: {', '.join(names.values())}")
    if asker.confirms("Should any of them have another name?", proposal=False):

        def accepted(answer: str) -> str:
            if not VARIABLE.match(answer):
                raise ConfigError(
                    "that is no name of a variable.", cure="Use capital letters, digits and _."
                )
            return answer

        names = {
            key: asker.text(f"Variable with the {WORDS[key]}", proposal, accepted)
            for key, proposal in names.items()
        }
    return replace(entry, variables=names)


_QUESTIONS: Mapping[str, Callable[[Prompter, Draft, Entry], Entry]] = {
    "vendor": _ask_vendor,
    "name": _ask_name,
    "login_url": _ask_address,
    "kind": _ask_kind,
}
