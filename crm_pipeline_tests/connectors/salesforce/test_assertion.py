"""JWT bearer logins over HTTP: keys in all their forms, and what a refusal tells."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.salesforce.assertion import private_key
from crm_pipeline.connectors.salesforce.login_cures import ASSERTION
from crm_pipeline.kernel.errors import AuthFailed, ConfigError, CrmError, SecretMissing
from crm_pipeline_tests.harness import CONNECTIONS, Harness, HarnessMaker

PRIVATE = serialization.PrivateFormat
PLAIN = serialization.NoEncryption()
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Key, form: PRIVATE = PRIVATE.PKCS8, password: str = "") -> str:
    hidden = serialization.BestAvailableEncryption(password.encode()) if password else PLAIN
    return key.private_bytes(serialization.Encoding.PEM, form, hidden).decode()


def public(key: Key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def org(make_harness: HarnessMaker, key: rsa.RSAPrivateKey) -> Iterator[Harness]:
    """A harness whose app knows the key, and whose connection holds it."""
    with make_harness(contacts=20, kind="jwt_bearer") as harness:
        harness.org.register_certificate(public(key))
        harness.settings.environ["DEMO_PRIVATE_KEY"] = pem(key)
        yield harness


def log_in(harness: Harness) -> None:
    with harness.account(attempts=1) as account:
        account.objects()


def refusal(harness: Harness, kind: type[CrmError] = AuthFailed) -> CrmError:
    with pytest.raises(kind) as caught:
        log_in(harness)
    return caught.value


def edited(harness: Harness, old: str, new: str) -> None:
    harness.settings.file.write_text(harness.settings.file.read_text().replace(old, new))
    harness.settings = load_settings(harness.settings.root, harness.settings.environ)


def test_a_session_that_ends_is_signed_for_anew(org: Harness) -> None:
    """Each login is an assertion with RS256, for the address of the login and at most three minutes."""
    shown = []
    judged = org.org._oauth._assertion
    org.org._oauth._assertion = lambda request, form: (shown.append(form), judged(request, form))[1]
    log_in(org)
    org.advance(3600)
    org.org.expire_sessions()
    log_in(org)
    assert [set(form) for form in shown] == [{"grant_type", "assertion"}] * 2
    assert {form["grant_type"] for form in shown} == {ASSERTION}
    head, reported_counters, _ = shown[1]["assertion"].split(".")
    head, reported_counters = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, reported_counters)
    )
    assert head["alg"] == "RS256"
    assert reported_counters["aud"] == org.settings.connection("demo").login_url
    assert 60 <= reported_counters["exp"] - org.clock.now().timestamp() <= 180


def bad_keys() -> dict[str, str]:
    weak = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    return {
        "weak": pem(weak),
        "curve": pem(curve),
        "public": public(curve),
        "password": pem(curve, password="hush"),
        "damaged": pem(weak)[:200] + "\n-----END PRIVATE KEY-----",
        "words": "hush-hush",
    }


def read(folder: Path, line: str, **environ: str) -> rsa.RSAPrivateKey:
    """Read the key of a connection that is configured so, without any server."""
    text = CONNECTIONS.format(url="https://x", kind="jwt_bearer", auth="{auth}", objects="")
    auth = f"      username_env: DEMO_USERNAME\n      {line}"
    (folder / "connections.yaml").write_text(text.format(auth=auth))
    settings = load_settings(folder, environ)
    return private_key(settings, settings.connection("demo"))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("weak", "no RSA key of at least 2048 bits"),
        ("curve", "no RSA key of at least 2048 bits"),
        ("public", "a certificate or a public key"),
        ("password", "has a password"),
        ("damaged", "damaged or cut short"),
        ("words", "no key in PEM form"),
    ],
)
def test_keys_that_cannot_sign(tmp_path: Path, case: str, words: str) -> None:
    """What is wrong with a key is said with its variable, and without a line of it."""
    bad = bad_keys()[case]
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path, "private_key_env: THE_KEY", THE_KEY=bad)
    assert "THE_KEY" in str(caught.value)
    inner = [line for line in bad.splitlines() if not line.startswith("---")]
    assert not any(line in str(caught.value) for line in inner)


@pytest.mark.parametrize("value", ["", "nowhere.pem", "-----BEGIN PRIVATE KEY-----\\nhush"])
def test_key_files_that_cannot_be_read(tmp_path: Path, value: str) -> None:
    """A path that leads nowhere is named by its variable, never by its value, which may be a key."""
    with pytest.raises(ConfigError, match="KEY_FILE") as caught:
        read(tmp_path, "private_key_file_env: KEY_FILE", KEY_FILE=value)
    assert isinstance(caught.value, SecretMissing) == (value == "")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("form", [PRIVATE.PKCS8, PRIVATE.TraditionalOpenSSL])
@pytest.mark.parametrize("written", ["lines", "escaped", "dotenv", "file"])
def test_keys_in_all_forms(
    tmp_path: Path, key: rsa.RSAPrivateKey, form: PRIVATE, written: str
) -> None:
    """A key works as it stands, in one line with \\n, in .env with quotes, and as a file's path."""
    text, line = pem(key, form), "private_key_env: THE_KEY"
    environ = {"THE_KEY": text.replace("\n", "\\n") if written == "escaped" else text}
    if written == "dotenv":
        (tmp_path / ".env").touch(mode=0o600)
        (tmp_path / ".env").write_text(f'THE_KEY="{environ.pop("THE_KEY")}"\n')
    if written == "file":
        (tmp_path / "key.pem").write_text(environ.pop("THE_KEY"))
        environ["KEY_FILE"], line = "key.pem", "private_key_file_env: KEY_FILE"
    assert read(tmp_path, line, **environ).private_numbers() == key.private_numbers()


def test_a_user_who_is_not_let_in(org: Harness) -> None:
    """An unapproved user is told what to click, and which variable holds the user's name."""
    org.settings.environ["DEMO_USERNAME"] = "nobody@sandbox.example"
    error = refusal(org)
    assert "approved this consumer" in str(error)
    assert "'Admin approved users are pre-authorized'" in error.cure
    assert "DEMO_USERNAME" in error.cure
    assert "nobody@" not in str(error)


def test_a_key_that_the_app_does_not_know(org: Harness) -> None:
    """A signature that does not fit leads to the certificate and the key's variable."""
    org.org.register_certificate(public(rsa.generate_private_key(65537, 2048)))
    error = refusal(org)
    assert "upload the certificate" in error.cure
    assert "DEMO_PRIVATE_KEY" in error.cure


def test_an_audience_of_ones_own(org: Harness) -> None:
    """`audience` replaces the address of the login; one that is refused leads to the key to set."""
    edited(
        org, "      username_env", "      audience: https://test.salesforce.com\n      username_env"
    )
    log_in(org)
    edited(org, "https://test.salesforce.com", "https://elsewhere.example")
    assert "'audience'" in refusal(org).cure


@pytest.mark.parametrize(("seconds", "words"), [(400, "400 s behind"), (-400, "400 s ahead of")])
def test_a_wrong_clock(org: Harness, seconds: int, words: str) -> None:
    """A refusal says by how much this machine's clock is off, and in which direction."""
    org.sandbox.clock.advance(seconds)
    assert words in refusal(org).cure


def test_a_key_that_was_withdrawn(org: Harness) -> None:
    """A living session does not cover up that the key is gone."""
    log_in(org)
    org.settings.environ["DEMO_PRIVATE_KEY"] = ""
    refusal(org, SecretMissing)
