"""`login` over HTTP: a person in a browser, the sandbox's consent page, and this machine's callback."""

import re
import socket
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app
from crm_pipeline.cli.callback import Callback, pasted
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline_tests.harness import ENVIRON, Harness, HarnessMaker


@dataclass
class Person:
    """A person with a browser: decides on the consent page, and follows its redirect."""

    decision: str = "allow"
    tamper: Callable[[str], str] = str
    visited: list[str] = field(default_factory=list)

    def open(self, address: str) -> bool:
        self.visit(self.tamper(self.back(address)))
        return True

    def visit(self, address: str) -> requests.Response:
        self.visited.append(address)
        return requests.get(address, timeout=5)

    def back(self, address: str) -> str:
        """Return where the consent page sends the browser."""
        page = requests.get(address, timeout=5)
        assert page.status_code == 200, page.text
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        form = {name: unescape(value) for name, value in fields.items()}
        action = unescape(re.findall(r'action="([^"]+)"', page.text)[0])
        response = requests.post(
            action, data=form | {"decision": self.decision}, allow_redirects=False, timeout=5
        )
        return response.headers["Location"]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    visitor = Person()
    monkeypatch.setattr(webbrowser, "open", visitor.open)
    monkeypatch.setenv("BROWSER", "a browser")
    return visitor


@pytest.fixture
def harness(make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A connection by refresh token that nobody has logged in yet, as commands find it."""
    with make_harness(contacts=20, kind="refresh_token") as fresh:
        environ = ENVIRON | {"CRM_DATABASE_URL": fresh.settings.environ["CRM_DATABASE_URL"]}
        del environ["DEMO_REFRESH_TOKEN"]
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CRM_HOME", str(fresh.settings.root))
        yield fresh


def login(*options: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["login", "demo", *options], input=typed)


def stored(harness: Harness) -> StoredToken | None:
    return TokenStore(harness.database, StateKey.of(harness.settings)).load("demo")


def read(harness: Harness) -> None:
    harness.settings.environ.pop("DEMO_REFRESH_TOKEN", None)  # type: ignore[attr-defined]
    with harness.account(attempts=1) as account:
        account.objects()


def test_login(harness: Harness, person: Person) -> None:
    """From nothing to tokens: afterwards the connection works without a variable, over session ends, and
    no token was shown."""
    harness.org.rotate(on=True)
    result = login("--port", "0")
    assert result.exit_code == 0, result.output
    assert "user user0@sandbox.example of organization 00D" in result.stderr
    assert "crm-pipeline check demo" in result.stderr
    token = stored(harness)
    assert token is not None
    assert token.refresh_token is not None
    for secret in (token.access_token, token.refresh_token):
        assert secret.reveal() not in result.output
    harness.org.expire_sessions()
    read(harness)
    assert stored(harness).refresh_token != token.refresh_token
    callback = urlsplit(person.visited[0])
    assert f"registered in the app exactly so: http://localhost:{callback.port}" in result.stderr


def test_stored_tokens_are_taken_away(
    harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a token that nobody can decrypt names the command that removes it; then a login works."""
    assert login("--port", "0").exit_code == 0
    monkeypatch.setenv("CRM_STATE_KEY", "ab" * 32)
    refused = login("--port", "0")
    assert refused.exit_code == 1
    assert "`crm-pipeline login demo --forget`" in refused.stderr
    assert "the stored tokens are gone" in login("--forget").stderr
    assert "no tokens were stored" in login("--forget").stderr
    assert login("--port", "0").exit_code == 0


def test_a_login_outlasts_the_environment(harness: Harness, person: Person) -> None:
    """A token that the environment held before the login does not take over after it."""
    harness.settings.environ["DEMO_REFRESH_TOKEN"] = old = "sandbox-refresh-token"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEMO_REFRESH_TOKEN", old)
        assert login("--port", "0").exit_code == 0
    with harness.account(attempts=1) as account:
        account.objects()
    entries = harness.sandbox.journal.entries(path="/services/oauth2/token")
    assert [entry.status for entry in entries] == [200]  # the code, and nothing since


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda address: address.replace("state=", "state=x"), "its state is another"),
        (lambda address: re.sub(r"state=[^&]*", "", address), "its state is another"),
        (lambda address: re.sub(r"code=[^&]*", "code=forged", address), "works once"),
    ],
)
def test_a_forged_response(
    harness: Harness, person: Person, tamper: Callable[[str], str], words: str
) -> None:
    """A response with another state, or a code that was made up or used, gives no token."""
    person.tamper = tamper
    result = login("--port", "0")
    assert result.exit_code == 1
    assert words in result.stderr
    assert stored(harness) is None


def test_a_refusal_by_the_person(harness: Harness, person: Person) -> None:
    """After Deny the page and the terminal say so; an earlier login stays valid."""
    assert login("--port", "0").exit_code == 0
    before = stored(harness)
    person.decision = "deny"
    result = login("--port", "0")
    assert result.exit_code == 1
    assert "access_denied end-user denied authorization" in result.stderr
    assert "choose Allow" in result.stderr
    assert stored(harness) == before


def test_paste(harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server the whole address is printed, and the browser's address is pasted back."""
    monkeypatch.setattr(webbrowser, "open", None)
    shown = []
    real = Person.back

    def response(_: object) -> str:
        shown.append(real(person, consents[0].address))
        return shown[-1] + "\n"

    consents = []
    from crm_pipeline.connectors.salesforce.account import SalesforceAccount

    begin = SalesforceAccount.login_flow
    monkeypatch.setattr(
        SalesforceAccount, "login_flow", lambda *a: (consents.append(begin(*a)), consents[-1])[1]
    )
    monkeypatch.setattr("crm_pipeline.cli.login._line", response)
    result = login("--paste")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [consents[0].address]
    assert shown[0].startswith("http://localhost:8401/OauthRedirect?code=")
    assert stored(harness) is not None
    again = login("--paste")  # a new attempt has a state of its own
    assert again.exit_code == 1
    assert "its state is another" in again.stderr


def test_nothing_is_pasted(harness: Harness) -> None:
    """The end of the input is an error."""
    result = login("--paste", typed="")
    assert result.exit_code == 2
    assert "nothing was pasted" in result.stderr


CODE = "aPrx.x-y_z=="
ESCAPED = CODE.replace("=", "%3D")


@pytest.mark.parametrize(
    "text",
    [
        f"http://localhost:8401/OauthRedirect?code={ESCAPED}&state=s\n",
        f" http://localhost:8401/OauthRedirect?state=s&code={ESCAPED} ",
        f"http://localhost:8401/Oauth\nRedirect?code={ESCAPED}&sta te=s",
        CODE,
        ESCAPED,
        f"code={ESCAPED}",
    ],
)
def test_what_may_be_pasted(text: str) -> None:
    """The whole address in any form that a terminal makes of it, or the code alone."""
    assert pasted(text, "s") == {"code": CODE, "state": "s"}


@pytest.mark.parametrize("text", ["http://localhost:8401/OauthRedirect", "https://x/?state=s", "?"])
def test_what_may_not_be_pasted(text: str) -> None:
    """An address without a response is refused; the error says what to copy."""
    with pytest.raises(AuthFailed, match="neither") as caught:
        pasted(text, "s")
    assert "address bar" in caught.value.cure


def test_port_0_is_a_free_port() -> None:
    """Two logins at one time with port 0 get different ports, which their addresses contain."""
    with Callback("http://localhost:0/x") as first, Callback("http://localhost:0/x") as other:
        ports = {urlsplit(callback.redirect_uri).port or 0 for callback in (first, other)}
    assert len(ports) == 2
    assert min(ports) > 1023


def test_a_port_in_use(harness: Harness, person: Person) -> None:
    """A port in use is an error with a cure before anybody logs in."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = login("--port", str(port))
    assert result.exit_code == 2
    assert f"port {port} of this machine is in use" in result.stderr
    assert "--paste" in result.stderr
    assert person.visited == []


def test_nobody_comes(harness: Harness, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time limit the command ends by itself; without windows no browser is opened."""
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("crm_pipeline.cli.callback.Callback.wait", _impatiently(Callback.wait))
    result = login("--port", "0")
    assert result.exit_code == 1
    assert "nobody came back" in result.stderr
    assert person.visited == []


def _impatiently(wait):
    return lambda callback, timeout_s: wait(callback, timeout_s / 1e6)


def test_an_address_on_another_host(harness: Harness) -> None:
    """A callback address elsewhere cannot be waited for here: it is for --paste."""
    text = harness.settings.file.read_text()
    entry = "      callback_url: https://acme.example/back\n      refresh_token_env"
    harness.settings.file.write_text(text.replace("      refresh_token_env", entry))
    result = login()
    assert result.exit_code == 2
    assert "Use --paste" in result.stderr


def test_a_connection_that_logs_in_by_itself(
    make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`login` for client credentials says that there is nothing to do."""
    with make_harness(contacts=20) as harness:
        monkeypatch.setenv("CRM_HOME", str(harness.settings.root))
        monkeypatch.setenv("CRM_DATABASE_URL", harness.settings.environ["CRM_DATABASE_URL"])
        result = login()
    assert result.exit_code == 2
    assert "logs in by itself" in result.stderr


def test_other_visitors() -> None:
    """An icon, another path or host, a silent connection, a request without a response of the login: the wait goes on."""
    with (
        Callback("http://localhost:0/OauthRedirect") as callback,
        socket.create_connection(("127.0.0.1", urlsplit(callback.redirect_uri).port)),
    ):
        root = callback.redirect_uri.replace("localhost", "127.0.0.1")
        assert (
            requests.get(urlsplit(root)._replace(path="/favicon.ico").geturl()).status_code == 404
        )
        assert requests.get(root).status_code == 404
        assert requests.get(root + "x?code=1").status_code == 404
        rebound = {"Host": "evil.example:80"}
        assert requests.get(root + "?code=1", headers=rebound).status_code == 403
        page = requests.get(root + "?error=%3Cb%3E&state=s")
        assert "&lt;b&gt;" in page.text
        assert callback.wait(5) == dict(parse_qsl("error=%3Cb%3E&state=s"))


def test_nothing_is_stored_without_a_refresh_token(
    harness: Harness, person: Person, tmp_path: Path
) -> None:
    """For an app without refresh tokens the error names the missing scope; nothing is stored."""
    desk = harness.org._oauth
    real = desk._code

    def without(*typed):
        return {name: value for name, value in real(*typed).items() if name != "refresh_token"}

    desk._code = without
    result = login("--port", "0")
    assert result.exit_code == 1
    assert "refresh_token, offline_access" in result.stderr
    assert stored(harness) is None
