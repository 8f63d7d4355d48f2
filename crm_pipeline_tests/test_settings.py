import itertools
import os
import re
import socket
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import Month
from crm_pipeline.kernel.errors import ConfigError, SecretMissing, UnknownName
from crm_pipeline.settings import (
    QuarantineLimit,
    Retention,
    Settings,
    VendorFacts,
)
from crm_pipeline.settings.cadence import Cadence
from crm_pipeline.settings.document import Document
from crm_pipeline.settings.load import read_settings
from crm_pipeline.settings.shrinkage import ShrinkBounds

GOOD = """\
connections:
  acme:
    vendor: salesforce
    login_url: https://acme.my.salesforce.com/
    auth:
      kind: client_credentials
      client_id_env: ACME_ID
      client_secret_env: ACME_SECRET
    objects: [Account, Contact]
    start: 2019-05
    cadence: "0 * * * *"
    share: 1
    mapping:
      Contact: {Region__c: region, Junk__c: null}
    shrink_percent: 7.5
    shrink_rows: 3
"""
MINIMAL = """\
connections:
  acme:
    vendor: salesforce
    login_url: https://acme.my.salesforce.com
    auth: {kind: client_credentials, client_id_env: ACME_ID, client_secret_env: ACME_SECRET}
    objects: []
"""


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    (folder / "connections.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
    return load_settings(folder, environ or {})


def test_every_key_arrives(tmp_path: Path) -> None:
    """A full entry becomes the dataclass with its values, addresses without a trailing slash."""
    acme = load(tmp_path, GOOD).connection("acme")

    assert acme.login_url == "https://acme.my.salesforce.com"
    assert [o.name for o in acme.objects] == ["Account", "Contact"]
    assert acme.start == Month(2019, 5)
    assert acme.share == 1.0
    assert acme.shrink_bounds == ShrinkBounds(percent=7.5, rows=3)
    assert acme.limit_group == "acme"
    assert acme.mapping == {"Contact": {"Region__c": "region", "Junk__c": None}}
    assert acme.auth.variables == {"client_id": "ACME_ID", "client_secret": "ACME_SECRET"}


def test_defaults(tmp_path: Path) -> None:
    """Keys that are left out have the documented defaults."""
    acme = load(tmp_path, MINIMAL).connection("acme")

    assert (acme.start, acme.cadence) == (Month(2018, 1), "*/15 * * * *")
    assert (acme.probe_every_s, acme.lookback_s, acme.share) == (60, 600, 0.9)
    assert acme.shrink_bounds == ShrinkBounds()
    assert (acme.api_version, acme.sandbox, acme.objects) == (None, False, ())


@pytest.mark.parametrize(
    "written",
    [
        "{Account: , Contact: {route: bulk, snapshot: true}}",
        "[Account, Contact: {route: bulk, snapshot: true}]",
    ],
)
def test_objects_with_options(tmp_path: Path, written: str) -> None:
    """Both forms of objects carry options, and nothing stands for the defaults."""
    text = MINIMAL.replace("[]", written)
    account, contact = load(tmp_path, text).connection("acme").objects

    assert (account.route, account.snapshot) == ("auto", None)
    assert (contact.route, contact.snapshot) == ("bulk", True)


def test_fields_that_are_kept_out(tmp_path: Path) -> None:
    """An object names fields to exclude and fields to hash."""
    written = "{Contact: {exclude: [Birthdate, Fax], hash: [SSN__c]}}"
    [contact] = load(tmp_path, MINIMAL.replace("[]", written)).connection("acme").objects

    assert (contact.exclude, contact.hash) == (("Birthdate", "Fax"), ("SSN__c",))
    assert contact.keeps_out


def test_fields_that_are_swept(tmp_path: Path) -> None:
    """An object names fields to sweep beside the computed ones, and fields not to sweep."""
    written = "{Contact: {sweep_also: [Score__c], sweep_except: [Age__c]}}"
    [contact] = load(tmp_path, MINIMAL.replace("[]", written)).connection("acme").objects

    assert (contact.sweep_also, contact.sweep_except) == (("Score__c",), ("Age__c",))
    assert not contact.keeps_out


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{exclude: Birthdate}", "must be a list"),
        ("{exclude: [Birthdate, Birthdate]}", "names 'Birthdate' twice"),
        ("{exclude: [SSN__c], hash: [SSN__c]}", "names 'SSN__c' under exclude as well"),
        ("{hash: ['']}", "no field's API name"),
        ("{hash: [3]}", "must be a text"),
        ("{exlcude: [Birthdate]}", "Did you mean 'exclude'?"),
        ("{sweep_alos: [Score__c]}", "Did you mean 'sweep_also'?"),
        ("{sweep_also: [A], sweep_except: [A]}", "names 'A' under sweep_except as well"),
        ("{sweep_also: [A], exclude: [A]}", "names 'A' under exclude as well"),
    ],
)
def test_mistakes_in_fields_that_are_kept_out(tmp_path: Path, written: str, expected: str) -> None:
    """Each is named with its line and what to do."""
    with pytest.raises(ConfigError, match=re.escape(expected)) as caught:
        load(tmp_path, MINIMAL.replace("[]", f"{{Contact: {written}}}"))
    assert "connections.yaml:6" in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize("written", ["66.0", "'66.0'", "66"])
def test_api_version_needs_no_quotes(tmp_path: Path, written: str) -> None:
    """A version reads the same with and without quotes."""
    text = MINIMAL + f"    api_version: {written}\n"
    assert load(tmp_path, text).connection("acme").api_version == "66.0"


TYPOS = {
    "unknown vendor": ("vendor: salesforce", "vendor: salesforse", 3, "vendor", "'salesforce'?"),
    "unknown key": ("start: 2019", "strat: 2019", 10, "strat", "'start'?"),
    "unknown top-level key": ("connections:", "conections:", 1, "conections", "'connections'?"),
    "unknown auth key": ("client_id_env", "client_id_evn", 7, "client_id_evn", "'client_id_env'?"),
    "secret instead of name": (
        "client_secret_env:",
        "client_secret:",
        8,
        "client_secret",
        "_env'?",
    ),
    "unknown auth kind": (
        "client_credentials",
        "client_credential",
        6,
        "auth.kind",
        "Did you mean",
    ),
    "missing variable": ("      client_id_env: ACME_ID\n", "", 5, "auth", "client_id_env: NAME"),
    "foreign variable": (
        "ACME_SECRET",
        "A\n      refresh_token_env: B",
        9,
        "auth",
        "Remove refresh",
    ),
    "plain http": ("https://", "http://", 4, "login_url", "Write https://"),
    "no address": ("https://acme.my", "acme.my", 4, "login_url", "Write it like https://"),
    "bad port": (".com/", ".com:99999/", 4, "login_url", "Write it like https://"),
    "login in address": ("https://", "https://me:pw@", 4, "login_url", "into the environment"),
    "month": ("2019-05", "2019-13", 10, "start", "like 2018-01"),
    "future month": ("2019-05", "2099-01", 10, "start", "first month"),
    "cron of four fields": ('"0 * * * *"', '"0 * * *"', 11, "cadence", "every 15 minutes"),
    "cron out of range": ('"0 * * * *"', '"0 25 * * *"', 11, "cadence", "every 15 minutes"),
    "cron of no day": (
        '"0 * * * *"',
        '"0 0 30 2 *"',
        11,
        "cadence",
        "never comes in the month '2'",
    ),
    "no time of day": ("share: 1", "nightly: 25:00", 12, "nightly", "like '02:30'"),
    "share above 1": ("share: 1", "share: 90", 12, "share", "docs/connections.md"),
    "country by name": ("share: 1", "country: Germany", 12, "country", "DE for Germany"),
    "country by no code": ("share: 1", "country: UK", 12, "country", "GB for the United Kingdom"),
    "shrink above all": ("percent: 7.5", "percent: 101", 15, "shrink_percent", "docs/connections"),
    "shrink of nothing": ("rows: 3", "rows: 0", 16, "shrink_rows", "docs/connections.md"),
    "share as text": ("share: 1", "share: most", 12, "share", "docs/connections.md"),
    "mapping of unknown object": ("Contact: {", "Contcat: {", 14, "Contcat", "'Contact'?"),
    "objects as text": (
        "[Account, Contact]",
        "Account",
        9,
        "objects",
        "objects: [Account, Contact]",
    ),
    "object twice": ("Account, Contact", "Account, Account", 9, "objects", "Keep one"),
    "object no name": ("[Account, Contact]", "[Account, [a]]", 9, "objects", "API names"),
    "unknown option": ("[Account, Contact]", "{Contact: {rote: rest}}", 9, "rote", "'route'?"),
    "unknown route": ("[Account, Contact]", "{Contact: {route: bluk}}", 9, "route", "'bulk'"),
    "key twice": ("    share: 1", "    share: 1\n    share: 0.5", 13, "share", "Keep one"),
    "connection name": ("  acme:", "  Acme-EMEA:", 2, "Acme-EMEA", "salesforce_emea"),
    "reserved name": ("  acme:", "  crm:", 2, "crm", "Choose another"),
    "missing key": ("    vendor: salesforce\n", "", 2, "vendor", "Add it"),
    "syntax": ("objects: [Account, Contact]", "objects: [Account", 10, "YAML", "bracket"),
}


@pytest.mark.parametrize(("old", "new", "line", "key", "cure"), TYPOS.values(), ids=TYPOS)
def test_typo(tmp_path: Path, old: str, new: str, line: int, key: str, cure: str) -> None:
    """A typo is reported with the file, the line, the key and what to write instead."""
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))

    text = str(caught.value)
    assert f"{tmp_path / 'connections.yaml'}:{line}" in text
    assert key in text
    assert cure in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "http://10.0.0.7/salesforce",
        "http://127.0.0.1.evil.example",
    ],
)
def test_sandbox_excuses_plain_http_only_at_home(tmp_path: Path, url: str) -> None:
    """`sandbox: true` does not let secrets travel in plain text to another machine."""
    text = MINIMAL.replace("https://acme.my.salesforce.com", url) + "    sandbox: true\n"
    with pytest.raises(ConfigError, match="plain http"):
        load(tmp_path, text)


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "127.0.0.1"])
def test_sandbox_port_comes_from_the_environment(tmp_path: Path, host: str) -> None:
    """CRM_SANDBOX_PORT moves a sandbox's address, and no other."""
    text = MINIMAL.replace("https://acme.my.salesforce.com", f"http://{host}/salesforce")
    settings = load(tmp_path, text + "    sandbox: true\n", {"CRM_SANDBOX_PORT": "9001"})
    assert settings.connection("acme").login_url.endswith(":9001/salesforce")

    real = load(tmp_path, MINIMAL, {"CRM_SANDBOX_PORT": "9001"})
    assert real.connection("acme").login_url == "https://acme.my.salesforce.com"


@pytest.mark.parametrize("port", ["0", "65536", "eight", "-1", "²"])
def test_sandbox_port_is_a_port(tmp_path: Path, port: str) -> None:
    """A port that is none is named together with its variable."""
    with pytest.raises(ConfigError, match="CRM_SANDBOX_PORT"):
        load(tmp_path, MINIMAL, {"CRM_SANDBOX_PORT": port})


def test_pasted_secret_is_not_repeated(tmp_path: Path) -> None:
    """The error for a pasted secret says so, and does not show the secret."""
    secret = "A1B2C3D4" * 8  # shaped like a Salesforce consumer secret
    with pytest.raises(ConfigError, match="treat it as exposed") as caught:
        load(tmp_path, GOOD.replace("ACME_SECRET", secret))
    assert secret not in str(caught.value)


def test_retired_logins_reach_the_connector(tmp_path: Path) -> None:
    """Logins that vendors retire load, so that the connector can say until when they work."""
    auth = "auth: {kind: password, username_env: USER_NAME, password_env: PASS_WORD}"
    text = "\n".join(
        auth.rjust(len(auth) + 4) if "auth:" in row else row for row in MINIMAL.split("\n")
    )
    assert load(tmp_path, text).connection("acme").auth.kind == "password"


def test_secrets_come_from_the_environment_over_dotenv(tmp_path: Path) -> None:
    """`.env` is read as it stands, the real environment wins, and os.environ stays as it was."""
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ACME_ID=from-file\nACME_SECRET='a$HOME b'\nFLAG\n")
    settings = load(tmp_path, GOOD, {"ACME_ID": "from-environment"})
    acme = settings.connection("acme")

    assert settings.secret(acme, "client_id").reveal() == "from-environment"
    assert settings.secret(acme, "client_secret").reveal() == "a$HOME b"
    assert "ACME_SECRET" not in os.environ
    assert "from-environment" not in repr(settings)


def test_a_renewed_secret_counts_at_once(tmp_path: Path) -> None:
    """`.env` is read again at each use, so that programs that run for weeks need no restart; the environment still wins."""
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ACME_ID=from-file\n")
    settings = load(tmp_path, GOOD, {"ACME_ID": "from-environment"})
    acme = settings.connection("acme")
    for value in ("added", "renewed"):
        (tmp_path / ".env").write_text(f"ACME_ID=other\nACME_SECRET={value}\n")
        assert settings.secret(acme, "client_secret").reveal() == value
    assert settings.secret(acme, "client_id").reveal() == "from-environment"


def test_a_dotenv_as_editors_leave_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A byte order mark, line ends of Windows and quotes are read; a wrong line is named, without its value."""
    file = tmp_path / ".env"
    file.touch(mode=0o600)
    file.write_bytes(
        b'\xef\xbb\xbfACME_ID="one two" # mine\r\nACME_KEY: hush-hush\r\nACME_SECRET=s \r\n'
    )
    settings = load(tmp_path, GOOD)
    acme = settings.connection("acme")
    assert settings.secret(acme, "client_id").reveal() == "one two"
    assert settings.secret(acme, "client_secret").reveal() == "s"
    assert f"{file}:2 is left out" in caplog.text
    assert "hush-hush" not in caplog.text
    file.write_bytes("ACME_ID=x".encode("utf-16"))
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load(tmp_path, GOOD)


def test_all_missing_secrets_are_named_at_once(tmp_path: Path) -> None:
    """Whoever sets one variable is not told of the next one afterwards."""
    settings = load(tmp_path, GOOD)
    with pytest.raises(SecretMissing, match="variables ACME_SECRET and ACME_ID, which are not set"):
        settings.secret(settings.connection("acme"), "client_secret")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_dotenv_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Where others may read or change `.env` nothing starts, and the command that closes it is named."""
    file = tmp_path / ".env"
    file.write_text("ACME_SECRET=hush-hush\n")
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}: others") as caught:
        load(tmp_path, GOOD)
    assert f"`chmod 600 {file}`" in caught.value.cure
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("environ", [{}, {"ACME_SECRET": ""}, {"ACME_SECRET": "  "}])
def test_missing_secret_names_the_variable(tmp_path: Path, environ: dict[str, str]) -> None:
    """A secret that is not set, or empty, is an error at its use that names the variable."""
    settings = load(tmp_path, GOOD, environ)
    with pytest.raises(SecretMissing, match=r"'acme' needs .* ACME_SECRET") as caught:
        settings.secret(settings.connection("acme"), "client_secret")
    assert ".env" in caught.value.cure


def test_secret_that_the_connection_does_not_name(tmp_path: Path) -> None:
    """Asking for a secret without a variable says which line to add."""
    settings = load(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="refresh_token_env: NAME"):
        settings.secret(settings.connection("acme"), "refresh_token")


def test_unknown_connection_and_object(tmp_path: Path) -> None:
    """The error for a wrong name lists the right ones and a guess."""
    settings = load(tmp_path, GOOD)
    with pytest.raises(UnknownName, match="Did you mean 'acme'"):
        settings.connection("acmee")
    with pytest.raises(UnknownName, match="Did you mean 'Contact'"):
        settings.connection("acme").object("Contcat")


@pytest.mark.parametrize("variable", ["CRM_HOME", "DAGSTER_HOME"])
def test_root_from_the_environment(tmp_path: Path, variable: str) -> None:
    """CRM_HOME, or DAGSTER_HOME where it holds the file, say where connections.yaml is."""
    (tmp_path / "connections.yaml").write_text(MINIMAL)
    assert load_settings(environ={variable: str(tmp_path)}).root == tmp_path


def test_root_upward_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without these variables the nearest connections.yaml upward counts, even if DAGSTER_HOME is set."""
    (tmp_path / "connections.yaml").write_text(MINIMAL)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert load_settings(environ={"DAGSTER_HOME": str(inner)}).root == tmp_path


def test_no_file(tmp_path: Path) -> None:
    """A folder without connections.yaml is an error that names the path."""
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_settings(environ={"CRM_HOME": str(tmp_path)})
    assert str(tmp_path / "connections.yaml") in str(caught.value)


def test_data_folder(tmp_path: Path) -> None:
    """Data is beside connections.yaml unless CRM_DATA says otherwise; relative means from there."""
    assert load(tmp_path, MINIMAL).data == tmp_path / "data"
    assert load(tmp_path, MINIMAL, {"CRM_DATA": "elsewhere"}).data == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    "content", [b"connections: \xff\xfe", b"connections: {a: &x [*y]}", b"- 1"]
)
def test_unreadable_files(tmp_path: Path, content: bytes) -> None:
    """Broken bytes and broken YAML are errors with a cure, not tracebacks."""
    (tmp_path / "connections.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, {})
    assert caught.value.cure


def test_shipped_file_loads_with_an_empty_environment() -> None:
    """The connections.yaml of the repository needs nothing to load and points at the sandbox."""
    root = Path(__file__).resolve().parent.parent
    settings = load_settings(root, {})
    demo = settings.connection("salesforce_demo")

    assert demo.sandbox
    assert demo.login_url == "http://127.0.0.1:8765/salesforce"
    assert len(demo.objects) == 20


def test_commented_example_of_the_shipped_file_is_valid(tmp_path: Path) -> None:
    """The example of a real org in connections.yaml works once the '# ' in front is removed."""
    shipped = Path(__file__).resolve().parent.parent / "connections.yaml"
    before, marker, example = shipped.read_text().partition("  # salesforce_acme:")
    uncommented = "\n".join(row.replace("  # ", "  ", 1) for row in (marker + example).split("\n"))
    assert "salesforce_acme" in load(tmp_path, before + uncommented).connections


def test_vendors_are_an_argument(tmp_path: Path) -> None:
    """Settings know no vendor by themselves: routes, versions and ceilings come with the vendors given."""
    toys = VendorFacts(("pages",), r"v\d", "v1", {"daily_calls": 10})
    text = GOOD.replace("salesforce", "toys").replace("    share: 1\n", "")
    text += "    api_version: v3\n    ceilings: {daily_calls: 7}\n"
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    acme = read_settings({"toys": toys}, tmp_path, {}).connection("acme")
    assert (acme.vendor, acme.api_version, acme.ceilings) == ("toys", "v3", {"daily_calls": 7})
    path.write_text(MINIMAL)
    with pytest.raises(UnknownName, match=r"'salesforce'.*toys"):
        read_settings({"toys": toys}, tmp_path, {})


def test_what_is_kept(tmp_path: Path) -> None:
    """Variables set how much of the past stays; there are defaults."""
    assert load(tmp_path, MINIMAL).retention == Retention(3, 14, 1)
    environ = {
        "CRM_KEEP_SNAPSHOTS": "5",
        "CRM_KEEP_SNAPSHOT_DAYS": "0",
        "CRM_KEEP_VERSION_DAYS": "7",
        "CRM_PUBLISHED_PARQUET": "each",
    }
    assert load(tmp_path, MINIMAL, environ).retention == Retention(5, 0, 7, "each")


def test_memory(tmp_path: Path) -> None:
    """A variable sets how much memory a step may take."""
    assert load(tmp_path, MINIMAL).memory_mb == 640
    assert load(tmp_path, MINIMAL, {"CRM_MEMORY_MB": "2000"}).memory_mb == 2000
    assert load(tmp_path, MINIMAL).patience_s == 300
    assert load(tmp_path, MINIMAL, {"CRM_PATIENCE_S": "3600"}).patience_s == 3600


def test_what_a_table_may_leave_out(tmp_path: Path) -> None:
    """Variables set how many unusable records stop a table."""
    assert load(tmp_path, MINIMAL).quarantine == QuarantineLimit(1, 20)
    environ = {"CRM_QUARANTINE_PERCENT": "0", "CRM_QUARANTINE_ROWS": "1"}
    assert load(tmp_path, MINIMAL, environ).quarantine == QuarantineLimit(0, 1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRM_KEEP_SNAPSHOTS", "0"),
        ("CRM_KEEP_SNAPSHOT_DAYS", "-1"),
        ("CRM_KEEP_SNAPSHOT_DAYS", "14d"),
        ("CRM_KEEP_VERSION_DAYS", "0"),
        ("CRM_PUBLISHED_PARQUET", "weekly"),
        ("CRM_MEMORY_MB", "200"),
        ("CRM_MEMORY_MB", "1GB"),
        ("CRM_QUARANTINE_PERCENT", "0.5"),
        ("CRM_QUARANTINE_ROWS", "0"),
        ("CRM_PATIENCE_S", "0"),
        ("CRM_KEEP_SNAPSHOT_DAYS", "36501"),
        ("CRM_KEEP_VERSION_DAYS", "36501"),
        *(
            (variable, nines)
            for nines in ("9" * 20, "9" * 5_000)
            for variable in (
                *("CRM_KEEP_SNAPSHOTS", "CRM_KEEP_SNAPSHOT_DAYS", "CRM_KEEP_VERSION_DAYS"),
                *("CRM_MEMORY_MB", "CRM_QUERY_TIMEOUT_S", "CRM_PATIENCE_S", "CRM_SANDBOX_PORT"),
                *("CRM_MAX_ANSWER_MB", "CRM_MAX_ANSWER_S", "CRM_MAX_FILE_MB", "CRM_MAX_FILE_S"),
                *("CRM_QUARANTINE_PERCENT", "CRM_QUARANTINE_ROWS"),
            )
        ),
    ],
)
def test_what_cannot_be_kept_so(tmp_path: Path, variable: str, value: str) -> None:
    """A value that is no number, unsafe or too large is refused at once."""
    with pytest.raises(ConfigError, match=variable) as caught:
        load(tmp_path, MINIMAL, {variable: value})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value",
    [
        *("!!timestamp xx", "!!timestamp 2001-99-99", "!!timestamp {=: xx}", "!!bool maybe"),
        *("!!int ''", "!!float ''", "!!int 0b_", f"0x{'f' * 5_000}", "9" * 400),
    ],
)
@pytest.mark.parametrize("key", ["start", "api_version", "share"])
def test_a_value_that_is_not_what_its_tag_says(tmp_path: Path, key: str, value: str) -> None:
    """A value that does not fit its tag is refused with its line."""
    with pytest.raises(ConfigError, match=r"connections\.yaml:7: .*none of type !!"):
        load(tmp_path, f"{MINIMAL}    {key}: {value}\n")


@pytest.mark.parametrize("other", ["pipe", "device", "socket", "folder", "endless"])
def test_only_a_file_of_a_bounded_size_is_read(tmp_path: Path, other: str) -> None:
    """A pipe or a device in place of the file is refused, and neither waited for nor read without end."""
    file = tmp_path / "connections.yaml"
    if other == "pipe":
        os.mkfifo(file)
    elif other == "device":
        file.symlink_to("/dev/zero")
    elif other == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(file))
    elif other == "folder":
        file.mkdir()
    else:
        file.touch()
        os.truncate(file, 1 << 40)
    expected = "bytes; at most" if other == "endless" else "not a file|cannot be read"
    with pytest.raises(ConfigError, match=expected):
        load_settings(tmp_path, {})


def test_line_ends_of_windows(tmp_path: Path) -> None:
    """Other line ends are read too, and become ours in the text."""
    file = tmp_path / "connections.yaml"
    file.write_bytes(MINIMAL.replace("\n", "\r\n").encode())
    assert Document.read(file).text == MINIMAL


def _laughs(levels: int) -> str:
    names = [f"l{n}" for n in range(levels)]
    lines = [f"{names[0]}: &{names[0]} [{', '.join(['ha'] * 10)}]"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines) + "\n"


OBJECTS = ", ".join(f"Object_{n}" for n in range(1_001))
ENTRY = MINIMAL.partition("\n")[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(f"# {'x' * 600_000}\n{MINIMAL}", "600,.* bytes; at most 524,288", id="size"),
        pytest.param("[" * 100_000, "1: a value lies 21 levels deep; at most 20", id="depth"),
        pytest.param(_laughs(9), "values and more; at most 100,000", id="billion laughs"),
        pytest.param(
            "a: &a {k: 1}\nb: &b {<<: [*a, *a]}\n"
            + "".join(
                f"{chr(c)}: &{chr(c)} {{<<: [{', '.join([f'*{chr(c - 1)}'] * 20)}]}}\n"
                for c in range(ord("c"), ord("i"))
            ),
            "values and more; at most 100,000",
            id="merges",
        ),
        pytest.param("a: &a [x]\nb: [" + "*a, " * 201 + "]", "alias number 201", id="aliases"),
        pytest.param(
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 150)),
            "levels deep; at most 20",
            id="chain",
        ),
        pytest.param("a: &a [x, *a]", "1: an alias stands inside of what it names", id="circle"),
        pytest.param(
            MINIMAL.replace("objects: []", f"objects: [{OBJECTS}]"),
            "names 1,001 objects; a connection may have 1,000",
            id="objects",
        ),
        pytest.param(
            "connections:\n" + "".join(ENTRY.replace("acme:", f"acme_{n}:") for n in range(201)),
            "holds 201 connections; at most 200",
            id="connections",
        ),
    ],
)
def test_a_file_has_bounds(tmp_path: Path, text: str, words: str) -> None:
    """A file that is too large, also by aliases, is refused with limit, figure and cure."""
    with pytest.raises(ConfigError, match=words) as caught:
        load(tmp_path, text)
    assert str(tmp_path / "connections.yaml") in caught.value.message
    assert caught.value.cure


def test_aliases_within_bounds(tmp_path: Path) -> None:
    """Aliases and merges that share a login among connections are read."""
    text = f"{MINIMAL.replace('auth: {', 'auth: &login {')}  other:\n    vendor: salesforce\n"
    text += "    login_url: https://other.my.salesforce.com\n    auth: *login\n    objects: []\n"
    settings = load(tmp_path, text)
    assert settings.connection("other").auth == settings.connection("acme").auth


@pytest.mark.parametrize(
    ("cadence", "minutes"),
    [
        ("*/15 * * * *", 15),
        ("0 * * * *", 60),
        ("7,37 * * * *", 30),
        ("0 8-18 * * *", 14 * 60),
        ("5/20 * * * *", 20),
        ("30 6 * * *", 24 * 60),
        ("*/15 * * * 1-5", 24 * 60),
        ("0 0 1 * *", 24 * 60),
        ("*/15 * * * 0-7", 15),
    ],
)
def test_how_far_two_ticks_are_apart(cadence: str, minutes: int) -> None:
    """The longest time between two of them, and never more than a day."""
    assert Cadence.parse(cadence).longest == timedelta(minutes=minutes)


def test_how_much_may_be_missing(tmp_path: Path) -> None:
    """A fifth and five rows, unless connections.yaml says otherwise."""
    assert ShrinkBounds() == ShrinkBounds(percent=20, rows=5)
    cases = [(4, 5), (5, 26), (5, 25), (20, 100), (19, 100)]
    assert [ShrinkBounds().exceeded(*case) for case in cases] == [False, False, True, True, False]
    assert ShrinkBounds(percent=100, rows=1).exceeded(3, 3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "verification: {resolver: nowhere}",
            "verification.resolver is no address of a DNS resolver",
        ),
        ("verification: {resolver: '127.0.0.1:99999'}", "verification.resolver is no address"),
        ("verification: {resolver: '[::1'}", "verification.resolver is no address"),
        ("verification: {dsn: on}", "Did you mean 'dns'?"),
        ("verification: {expires_days: 0}", "verification.expires_days"),
    ],
)
def test_what_is_wrong_with_verification_is_said(tmp_path: Path, line: str, said: str) -> None:
    """The key is named with what it should be."""
    (tmp_path / "connections.yaml").write_text(f"connections: {{}}\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_settings({}, tmp_path, {})
    assert said in str(caught.value)


@pytest.mark.parametrize("resolver", ["", "9.9.9.9", "127.0.0.1:5300", "::1", "[::1]:53", "[::1]"])
def test_verification_is_read(tmp_path: Path, resolver: str) -> None:
    """`on` and `off` are what YAML makes of them; what is left out is as it is documented."""
    text = f"connections: {{}}\nverification: {{dns: on, resolver: '{resolver}'}}\n"
    (tmp_path / "connections.yaml").write_text(text)
    chosen = read_settings({}, tmp_path, {}).verification
    assert (chosen.dns, chosen.resolver, chosen.expires.days) == (True, resolver, 30)
