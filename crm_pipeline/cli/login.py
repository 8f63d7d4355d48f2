"""`login`: a person logs in once, in the browser, for the pipeline."""

import os
import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from crm_pipeline.cli.accounts import ConnectionArgument
from crm_pipeline.kernel.errors import ConfigError, CrmError

if TYPE_CHECKING:
    from crm_pipeline.connectors.base import Account
    from crm_pipeline.settings import Connection, Settings

_LOCAL = frozenset({"localhost", "127.0.0.1"})


def login(
    connection: ConnectionArgument,
    *,
    paste: Annotated[
        bool,
        typer.Option("--paste", help="For servers: log in elsewhere, paste the address back."),
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address, open nothing.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the callback address; 0 takes a free one."),
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, help="Seconds to wait for the browser to come back.")
    ] = 300,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Only take the stored tokens away, of any kind of login."),
    ] = False,
) -> None:
    """Get the first tokens of a connection with `kind: refresh_token` or `self_client`: log in once.

    The tokens go encrypted into the database and are never shown; from then on the connection renews
    them by itself. Log in as the user that the pipeline shall read as: a private window of the browser
    helps. The callback address that is printed must be registered in the app, exactly so. A self client
    has no browser that comes back: make the code where this says, and paste it.

    For instance:

      crm-pipeline login salesforce_acme
      crm-pipeline login salesforce_acme --paste
      crm-pipeline login salesforce_acme --port 8500
    """
    from crm_pipeline.cli.accounts import account_of
    from crm_pipeline.cli.console import say
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    chosen = settings.connection(connection)
    if forget:
        _forget(settings, chosen)
        return
    with account_of(settings, chosen) as account:
        log_in(
            account,
            callback_address(chosen, port),
            paste=paste,
            opens_browser=not no_browser,
            wait_s=wait_s,
        )
    say(f"Next: crm-pipeline check {connection}")


def _forget(settings: "Settings", connection: "Connection") -> None:
    from crm_pipeline.cli.console import say
    from crm_pipeline.store.postgres.database import running_database
    from crm_pipeline.store.tokens import TokenStore
    from crm_pipeline.store.tokens.state_key import StateKey

    with running_database(settings) as database:
        had_tokens = TokenStore(database, StateKey.of(settings)).forget(connection.name)
    outcome = "the stored tokens are gone" if had_tokens else "no tokens were stored"
    say(f"{connection.name}: {outcome}. The next login begins with what the environment holds.")


def log_in(
    account: "Account", redirect_uri: str, *, paste: bool, opens_browser: bool, wait_s: float
) -> None:
    """Lead a person through the login of an account, and show its identity.

    Raises:
        ConfigError: the account logs in by itself, or the callback address is of no use.
        AuthFailed: it was refused, or nobody came back.
    """
    from crm_pipeline.cli.callback import Callback, pasted
    from crm_pipeline.cli.console import say, working

    # An error of the connection comes before one of the port.
    login_flow = account.login_flow(redirect_uri)
    if login_flow.by_hand:
        _point_to(login_flow.address, login_flow.by_hand)
        login_flow.accept({"code": _line("Paste the code here: ")})
    elif paste:
        _show(login_flow.address, redirect_uri)
        say("The browser is sent to an address that does not open: that is right. Copy it whole.")
        login_flow.accept(pasted(_line("Paste it here: "), login_flow.state))
    else:
        _refuse_elsewhere(redirect_uri)
        with Callback(redirect_uri) as callback:
            login_flow = account.login_flow(callback.redirect_uri)
            _show(login_flow.address, login_flow.redirect_uri)
            if opens_browser and has_browser():
                webbrowser.open(login_flow.address)
            with working("waiting for the browser to come back"):
                response = callback.wait(wait_s)
        login_flow.accept(response)
    _confirm(account)


def callback_address(connection: "Connection", port: int | None = None) -> str:
    """Return the callback address of a connection, with another port if one is given.

    Raises:
        ConfigError: a port was given for an address of another machine.
    """
    from crm_pipeline.connectors.registry import connector

    address = connection.auth.callback_url or connector(connection.vendor).callback_url
    if port is None:
        return address
    _refuse_elsewhere(address)
    url = urlsplit(address)
    return url._replace(netloc=f"{url.hostname}:{port}").geturl()


def offer_of(settings: "Settings", connection: "Connection") -> bool:
    """Say whether a person has to log in for a connection, which has no token yet."""
    from crm_pipeline.connectors.registry import connector

    kinds = {kind.kind for kind in connector(connection.vendor).logins if kind.by_browser}
    variable = connection.auth.variables.get("refresh_token", "")
    return connection.auth.kind in kinds and not settings.environ.get(variable)


def _refuse_elsewhere(address: str) -> None:
    if urlsplit(address).hostname not in _LOCAL:
        raise ConfigError(
            f"the callback address {address} is not on this machine, so nobody can come back here.",
            cure="Use --paste, or set callback_url to an address on localhost.",
        )


def _show(address: str, redirect_uri: str) -> None:
    from crm_pipeline.cli.console import output, say

    say(f"Callback address, to be registered in the app exactly so: {redirect_uri}")
    say("Open this address, log in as the user of the integration, and choose Allow:")
    # On one line at any width of the terminal: a person copies it.
    output().print(address, soft_wrap=True, markup=False)


def _point_to(address: str, how: str) -> None:
    from crm_pipeline.cli.console import output, say

    output().print(address, soft_wrap=True, markup=False)
    say(how)


def has_browser() -> bool:
    """Say whether a graphical browser can be opened; a browser in this terminal would block it."""
    if os.environ.get("BROWSER") or sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _line(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    text = sys.stdin.readline()
    if not text.strip():
        raise ConfigError(
            "nothing was pasted.", cure="Run the command again; it reads one line from its input."
        )
    return text


def _confirm(account: "Account") -> None:
    from crm_pipeline.cli.console import say, verbatim

    try:
        identity = account.identity()
    except CrmError as error:
        # The tokens are stored already; `check` shows this error in full.
        reason = verbatim(error.message)
        say(f"logged in; the tokens are stored. Who it is could not be asked: {reason}")
        return
    say(f"logged in as {verbatim(identity)}; the tokens are stored, encrypted.")
