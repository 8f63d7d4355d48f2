"""`add`: the walk from nothing to a checked connection, asked and unasked, against the sandbox."""

import re
import shlex
import stat
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

import crm_pipeline.cli.add
import crm_pipeline.cli.prompts
from crm_pipeline.cli.app import app
from crm_pipeline.cli.draft import Draft, Entry
from crm_pipeline.cli.envfile import save
from crm_pipeline.configuration import load_settings, parse_connections
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.editing import with_connection
from crm_pipeline.settings.load import settings_file
from crm_pipeline_tests.cli.conftest import CONNECTIONS
from crm_pipeline_tests.docs.blocks import of
from crm_sandbox.salesforce import credentials
from crm_sandbox.server import SandboxServer

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"crm-pipeline add (\w[^`#\n]*)")
UNASKED = ("--login-url", "https://acme.my.salesforce.com", "--kind", "client_credentials")


def add(*arguments: str, replies: tuple[str, ...] = ()) -> Result:
    lines = "".join(f"{reply}\n" for reply in replies)
    vendor = () if "--vendor" in arguments else ("--vendor", "salesforce")
    return CliRunner().invoke(app, ["add", *arguments, *vendor], input=lines)


def raises(error: type[BaseException]) -> Callable[..., bool]:
    def stand_in(*_: object) -> bool:
        raise error

    return stand_in


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no terminal."""
    monkeypatch.setenv("CRM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(contacts=20) as running:
        yield running


@pytest.fixture
def org(
    home: Path, sandbox: SandboxServer, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> SandboxServer:
    """A sandbox where connections of the sandbox are looked for, and a database."""
    monkeypatch.setenv("CRM_SANDBOX_PORT", str(sandbox.port))
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    return sandbox


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is at a terminal."""
    monkeypatch.setattr(crm_pipeline.cli.prompts, "is_interactive", lambda: True)


def test_a_newcomer(org: SandboxServer, terminal: None, home: Path) -> None:
    """From an empty folder to a filled-in connection; wrong answers are asked for again, secrets lie in
    .env for their owner alone and are shown nowhere, and the end names the next command."""
    wrong = ("Acme", "crm", "demo", "acme.lightning.force.com", "http://acme.example", "sandbox")
    secrets = (credentials.CLIENT_ID, credentials.CLIENT_SECRET)
    result = add(replies=(*wrong, "4", "1", "n", *secrets, "y", "y"))
    assert result.exit_code == 0, result.output
    assert result.stderr.strip().endswith("Next: crm-pipeline backfill demo")
    assert "automation: about 10,000 calls a day where nothing changes, 10.0%" in result.stderr
    assert [secret for secret in secrets if secret in result.output] == []
    for words in ("reserved name", "no name for a connection", "Setup, My Domain", "plain http"):
        assert words in result.stderr
    settings = load_settings()
    demo = settings.connection("demo")
    assert demo.sandbox
    assert {"Account", "Contact", "Invoice__c"} <= {obj.name for obj in demo.objects}
    assert settings.secret(demo, "client_secret").reveal() == credentials.CLIENT_SECRET
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600


def test_a_failed_check_can_be_taken_back(org: SandboxServer, terminal: None, home: Path) -> None:
    """The findings of the check are shown; the entry stays or goes as chosen, and the exit code is 1."""
    typed = ("demo", "sandbox", "client_credentials", "n", "wrong", "wrong", "n")
    kept = add(replies=(*typed, "n", "n"))
    assert kept.exit_code == 1
    assert "invalid_client_id" in kept.output
    assert "DEMO_CLIENT_ID" in kept.output
    assert kept.stderr.strip().endswith("crm-pipeline check demo")
    # The sandbox runs; it is the secret that is wrong.
    assert "started by" not in kept.stderr
    assert "Export later: DEMO_CLIENT_ID, DEMO_CLIENT_SECRET" in kept.stderr
    assert not (home / ".env").exists()
    before = (home / "connections.yaml").read_text()
    typed = ("demo", "two", *typed[1:])
    undone = add(replies=(*typed, "y"))
    assert undone.exit_code == 1
    assert "already" in undone.stderr
    assert (home / "connections.yaml").read_text() == before


def test_a_mistyped_secret_is_typed_again(org: SandboxServer, terminal: None, home: Path) -> None:
    """A secret that the check refuses is asked for again at once, and only the right one is in .env."""
    first = ("demo", "sandbox", "client_credentials", "n", credentials.CLIENT_ID, "wrong")
    again = ("y", credentials.CLIENT_ID, credentials.CLIENT_SECRET, "y", "n")
    result = add(replies=(*first, *again))
    assert result.exit_code == 0, result.output
    assert "wrong" not in (home / ".env").read_text()
    settings = load_settings()
    secret = settings.secret(settings.connection("demo"), "client_secret")
    assert secret.reveal() == credentials.CLIENT_SECRET


def test_a_given_name_is_refused_before_the_first_question(terminal: None, home: Path) -> None:
    """A malformed name or a taken one costs no answers, and no line of the unchanged file is named."""
    draft = Draft(home / "connections.yaml")
    draft.write(Entry("acme", "salesforce", "https://acme.my.salesforce.com", "client_credentials"))
    for name, words in (("Acme", "is no name"), ("acme", "already")):
        result = add(name)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
        assert "Where does" not in result.stderr
        assert "connections.yaml:" not in result.stderr


def test_what_is_set_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without questions, optional variables that are set under their usual names are in the entry."""
    monkeypatch.setenv("ACME_CLIENT_SECRET", "hush")
    save(home, {"ACME_REFRESH_TOKEN": Secret("hush")})
    monkeypatch.setattr(crm_pipeline.cli.add, "_finish", lambda *_, **__: None)
    options = ("--vendor", "zoho", "--login-url", "accounts.zoho.eu", "--kind", "refresh_token")
    result = add("acme", *options, "--yes")
    assert result.exit_code == 0, result.output
    entry = yaml.safe_load((home / "connections.yaml").read_text())["connections"]["acme"]
    assert entry["login_url"] == "https://accounts.zoho.eu"
    names = ("client_id", "client_secret", "refresh_token")
    assert entry["auth"] == {
        "kind": "refresh_token",
        **{f"{name}_env": f"ACME_{name.upper()}" for name in names},
    }


def test_one_address_for_all_is_proposed(terminal: None, home: Path) -> None:
    """HubSpot has one address: Enter takes it."""
    result = add("acme", "--vendor", "hubspot", replies=("", "token", "n", "", "n"))
    assert "[https://api.hubapi.com]" in result.stderr
    assert load_settings().connection("acme").login_url == "https://api.hubapi.com"


def test_an_interrupt_says_what_became_of_the_entry(
    terminal: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at a question or during the check leaves the entry, and the last line says so."""
    replies = ("acme", "acme.my.salesforce.com", "client_credentials", "n")
    at_a_question = add(replies=replies)  # the end of input is what Ctrl-C is to a prompt
    assert at_a_question.exit_code == 1
    monkeypatch.setattr(crm_pipeline.cli.add, "_is_healthy", raises(KeyboardInterrupt))
    during_the_check = add("other", *UNASKED, "--yes")
    assert during_the_check.exit_code == 130
    for name, result in (("acme", at_a_question), ("other", during_the_check)):
        assert f"the entry '{name}' stays" in result.stderr
        assert f"crm-pipeline check {name}" in result.stderr
        assert name in load_settings().connections


def test_a_sandbox_that_is_not_running_is_named(
    home: Path, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that fails because nothing listens says how the sandbox is started."""
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    monkeypatch.setattr(crm_pipeline.cli.add, "_is_healthy", lambda *_: False)
    monkeypatch.setenv("CRM_SANDBOX_PORT", "9")
    result = add("demo", "--sandbox", "--kind", "client_credentials")
    assert "started by `crm-pipeline sandbox`" in result.stderr


def test_a_login_whose_vendor_insists_on_a_secret(terminal: None, home: Path) -> None:
    """It can be chosen, and a wrong address is refused as a wrong address."""
    typed = ("acme", "pat-wrong", "https://api.hubapi.com", "refresh_token", "y", "n")
    result = add("--vendor", "hubspot", replies=typed)
    assert "added 'acme'" in result.stderr
    assert "https://pat-wrong is not the address" in result.stderr
    assert "send their secret" not in result.stderr
    assert "ACME_CLIENT_SECRET" in (home / "connections.yaml").read_text()


def test_other_names_for_variables(terminal: None, home: Path) -> None:
    """Each variable can have a name of the user's own; a secret in the place of a name is not taken."""
    replies = ("acme", "acme.my.salesforce.com", "3", "y", "y", "hush-hush", "OWN_ID", "OWN_SECRET")
    result = add(replies=(*replies, "", "", "n"))
    assert result.exit_code == 0, result.output
    assert "crm-pipeline login acme" in result.stderr
    acme = load_settings().connection("acme")
    assert acme.login_url == "https://acme.my.salesforce.com"
    assert acme.auth.variables == {"client_id": "OWN_ID", "client_secret": "OWN_SECRET"}


def test_unasked(org: SandboxServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options alone do the same in a script; secrets come from the environment and stay there."""
    monkeypatch.setenv("MY_ID", credentials.CLIENT_ID)
    monkeypatch.setenv("DEMO_CLIENT_SECRET", credentials.CLIENT_SECRET)
    options = ("--sandbox", "--kind", "client_credentials", "--variable", "client_id=MY_ID")
    result = add("demo", *options, "--discover")
    assert result.exit_code == 0, result.output
    assert result.stderr.strip().endswith("Next: crm-pipeline backfill demo")
    assert load_settings().connection("demo").auth.variables["client_id"] == "MY_ID"
    assert not (home / ".env").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "NAME, --login-url, --kind are missing"),
        (("acme", "--kind", "refresh_token"), "--login-url is missing"),
        (("acme", "--sandbox"), "--kind is missing"),
        (("Acme", *UNASKED), "no name for a connection"),
        (("acme", "--vendor", "salesfroce", *UNASKED), "Did you mean 'salesforce'"),
        (("acme", *UNASKED[:3], "jwt"), "unknown kind of login 'jwt'"),
        (("acme", *UNASKED, "--variable", "client_id"), "KEY=NAME"),
        (("acme", *UNASKED, "--variable", "clientid=X"), "Did you mean 'client_id'"),
        (("acme", *UNASKED, "--variable", "client_id=hush"), "treat it as exposed"),
        (("acme", "--login-url", "http://acme.example", *UNASKED[2:]), "plain http"),
        (("acme", "--login-url", "https://login.salesforce.com", *UNASKED[2:]), "My Domain"),
        (
            ("acme", "--login-url", "https://acme.my.salesforce.com/home", *UNASKED[2:]),
            "has a path behind the host",
        ),
    ],
)
def test_what_cannot_be_added(home: Path, arguments: tuple[str, ...], words: str) -> None:
    """A mistake is a usage error that names it, and no file is made."""
    result = add(*arguments, "--yes")
    assert result.exit_code == 2
    assert words in result.stderr
    assert list(home.iterdir()) == []


def test_what_is_there_stays(home: Path) -> None:
    """A name that is taken is refused; a file that is wrong already is left alone."""
    file = home / "connections.yaml"
    for text, words in ((CONNECTIONS, "'acme' already"), ("connections: [", "no valid YAML")):
        file.write_text(text)
        result = add("acme", *UNASKED)
        assert result.exit_code == 2
        assert words in result.stderr
        assert file.read_text() == text


FLOW = """\
connections: {first: {vendor: salesforce, login_url: 'https://x.my.salesforce.com',
  objects: [], auth: {kind: refresh_token, client_id_env: X}},}  # flow
"""
ENTRY = Entry("acme", "salesforce", "https://a.my.salesforce.com", "refresh_token")


@pytest.mark.parametrize(
    "text",
    [
        "connections:\n",
        "connections: {}  # none yet\n",
        "connections: null",
        "# nothing but a comment\n",
        "",
        CONNECTIONS.replace("acme:", "first:"),
        CONNECTIONS.replace("acme:", "first:").rstrip() + "\n\n  # later:\n  #   vendor: x\n# end",
        CONNECTIONS.replace("acme:", "first:").replace("\n  ", "\n    "),
        FLOW,
    ],
)
def test_entries_are_added_in_the_form_that_is_there(tmp_path: Path, text: str) -> None:
    """Whatever the file looks like, it gains the entry and loses neither comment nor connection."""
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    draft = Draft(path)
    written = draft.write(ENTRY)
    after = parse_connections(Document.read(path))
    assert list(after) == [*draft.existing, "acme"]
    assert {name: after[name] for name in draft.existing} == draft.existing
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert [comment for comment in comments if comment not in written] == []
    assert draft.take_back(written)
    assert path.read_text() == text


@pytest.mark.parametrize("harm", ["no YAML", "another entry lost", "another entry changed"])
def test_a_form_that_would_suffer_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Where the entry cannot be added without harm the file stays, and the error says to do it by hand."""
    text = CONNECTIONS.replace("acme:", "first:")
    if harm == "no YAML":
        text = text.rstrip() + "\n...\n"  # nothing may follow the end of a document
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    draft = Draft(path)
    if harm != "no YAML":
        # No form is known that does this: the editor is broken in its place.
        whole = with_connection(Document(path, text), ENTRY.name, ENTRY.data())
        lost = with_connection(Document(path, "connections:\n"), ENTRY.name, ENTRY.data())
        changed = whole.replace("objects: [", "objects: [Lead, ", 1)
        broken = lost if harm == "another entry lost" else changed
        assert broken != whole
        monkeypatch.setattr("crm_pipeline.cli.draft.with_connection", lambda *_: broken)
    with pytest.raises(ConfigError, match="nothing can be added to safely"):
        draft.write(ENTRY)
    assert path.read_text() == text


def test_a_draft_does_not_overwrite_others(tmp_path: Path) -> None:
    """A file that somebody changes meanwhile is neither written over nor taken back."""
    path = tmp_path / "connections.yaml"
    path.write_text(CONNECTIONS)
    draft = Draft(path)
    path.write_text(CONNECTIONS + "# mine\n")
    with pytest.raises(ConfigError, match="meanwhile"):
        draft.write(Entry.blank("salesforce"))
    assert not draft.take_back(CONNECTIONS)
    assert path.read_text().endswith("# mine\n")


def test_the_entry_has_the_usual_form(tmp_path: Path) -> None:
    """An entry is written by line, with its keys in the order of the documentation."""
    text = with_connection(Document(tmp_path, "connections:\n"), "acme", ENTRY.data())
    assert text.splitlines()[1:] == [
        "  acme:",
        "    vendor: salesforce",
        "    login_url: https://a.my.salesforce.com",
        "    auth:",
        "      kind: refresh_token",
        "      client_id_env: ACME_CLIENT_ID",
        "    objects: []",
    ]
    assert yaml.safe_load(text)["connections"]["acme"] == ENTRY.data()


@pytest.mark.parametrize(
    "value",
    ["plain", "a'b\"c", "$HOME \\n \\", "-----BEGIN-----\nMII=\n-----END-----\n", "# x", "é"],
)
def test_secrets_are_read_back_the_same(home: Path, value: str) -> None:
    """Any secret is read back from .env unchanged; other values stay, and the mode becomes 0600."""
    file = home / ".env"
    file.write_text("# mine\nOLD='1'")
    file.chmod(0o644)
    assert save(home, {"NEW": Secret(value)}) == []
    (home / "connections.yaml").write_text("connections: {}\n")
    environ = load_settings(home, {}).environ
    assert (environ["OLD"], environ["NEW"]) == ("1", value)
    assert file.read_text().startswith("# mine\nOLD='1'\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_would_swallow_a_secret_is_left_alone(home: Path) -> None:
    """Behind a quote that is not closed a new line would be part of the old value: nothing is written."""
    (home / ".env").write_text("OLD='1\n")
    with pytest.raises(ConfigError, match="read back the same") as caught:
        save(home, {"NEW": Secret("hush")})
    assert "quote" in caught.value.cure
    assert (home / ".env").read_text() == "OLD='1\n"


def test_a_variable_that_has_a_value_is_not_written_over(home: Path) -> None:
    """A variable of .env that has a value keeps it."""
    (home / ".env").write_text("OLD=1\n")
    with pytest.raises(ConfigError, match="holds OLD already"):
        save(home, {"OLD": Secret("2"), "NEW": Secret("3")})
    assert (home / ".env").read_text() == "OLD=1\n"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def test_secrets_stay_out_of_version_control(home: Path) -> None:
    """In a repository .env is ignored before it is written; one that git has already is not touched."""
    git(home, "init", "-q")
    (home / ".gitignore").write_text("data/")
    inner = home / "inner"
    inner.mkdir()
    (done,) = save(home, {"A": Secret("1")})
    assert ".gitignore" in done
    assert (home / ".gitignore").read_text() == "data/\n.env\n"
    assert save(inner, {"A": Secret("1")}) == []  # the rule of the folder above holds here too
    git(home, "add", "-f", ".env")
    with pytest.raises(ConfigError, match="version control") as caught:
        save(home, {"B": Secret("2")})
    assert "git rm --cached" in caught.value.cure
    assert "B" not in (home / ".env").read_text()


def shown() -> Iterator[str]:
    """Yield the arguments of every `crm-pipeline add` with a name that the documents and the help show."""
    pages = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    for page in (*pages, crm_pipeline.cli.add.add.__doc__ or ""):
        yield from (line.strip() for line in SHOWN.findall(page))


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_what_the_documents_show(org: SandboxServer, terminal: None, line: str) -> None:
    """Each line is accepted as it stands: one for scripts leaves nothing to ask, and writes its entry."""
    asks = "--yes" not in line and "--discover" not in line
    arguments = shlex.split(line)
    vendor = dict(pairwise(arguments)).get("--vendor", "salesforce")
    for source in (block for block in of("yaml") if "resources:" in block.text):
        path = settings_file().parent / "sources" / f"{yaml.safe_load(source.text)['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source.text)
    result = CliRunner().invoke(
        app,
        ["add", *arguments, *(() if asks else ("--yes",))],
        # Names of variables, then no login, or nothing at all: the account does not exist.
        input="sandbox\n" + "n\n" * 9 if asks else "",
    )
    assert result.exit_code != 2, result.output
    assert load_settings().connection(arguments[0]).vendor == vendor


def test_there_are_lines_to_try() -> None:
    """The documents and the help show the command with arguments."""
    assert len(set(shown())) >= 5
