import base64
import hashlib
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crm_sandbox.salesforce import credentials

COMMON = {"access_token", "signature", "instance_url", "id", "token_type", "issued_at"}


def test_refresh_token(client) -> None:
    """Statement 1: a refresh answer has no expiry and no new refresh token; issued_at is text."""
    answer = client.token(
        grant_type="refresh_token", refresh_token=credentials.REFRESH_TOKEN
    ).json()
    assert set(answer) == COMMON | {"scope"}
    assert answer["instance_url"] == client.root
    assert answer["issued_at"].isdigit()
    assert len(answer["issued_at"]) == 13
    assert answer["token_type"] == "Bearer"


def test_client_credentials(client) -> None:
    """Statement 1: client credentials work in the body and as Basic, with their own field set."""
    in_body = client.token(grant_type="client_credentials")
    basic = requests.post(
        f"{client.root}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(credentials.CLIENT_ID, credentials.CLIENT_SECRET),
    )
    for response in (in_body, basic):
        assert set(response.json()) == COMMON | {"scope", "api_instance_url"}


def test_password(own) -> None:
    """Statements 1 and 4: the password grant answers until 2027-02-20 by the sandbox's clock."""
    form = {
        "grant_type": "password",
        "username": credentials.USERNAME,
        "password": credentials.PASSWORD,
    }
    assert set(own.token(**form).json()) == COMMON
    wrong = own.token(**(form | {"password": "x"}))
    assert wrong.json() == {"error": "invalid_grant", "error_description": "authentication failure"}
    own.admin("/clock", {"fixed": "2027-02-20T00:00:00+00:00"})
    late = own.token(**form)
    assert (late.status_code, late.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com"])
def test_client_credentials_need_my_domain(sandbox, host: str) -> None:
    """Statement 2: on a generic login host client credentials are refused, on My Domain not."""
    form = {
        "grant_type": "client_credentials",
        "client_id": credentials.CLIENT_ID,
        "client_secret": credentials.CLIENT_SECRET,
    }
    url = f"{sandbox.url}/services/oauth2/token"
    refused = requests.post(url, data=form, headers={"Host": host})
    assert refused.status_code == 400
    assert set(refused.json()) == {"error", "error_description"}
    granted = requests.post(url, data=form, headers={"Host": credentials.MY_DOMAIN})
    assert granted.json()["instance_url"] == f"https://{credentials.MY_DOMAIN}"


def test_rotation(own) -> None:
    """Statement 3: rotation replaces the refresh token, ends sessions and kills their locators."""
    own.sandbox.salesforce.rotate()
    for _ in range(201):
        own.sandbox.salesforce.create("Product2", Name="x")
    soql = "SELECT Id FROM Product2"
    page = own.query(soql, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert page["done"] is False
    first = own.token(grant_type="refresh_token", refresh_token=credentials.REFRESH_TOKEN).json()
    assert first["refresh_token"] != credentials.REFRESH_TOKEN
    again = own.token(grant_type="refresh_token", refresh_token=credentials.REFRESH_TOKEN)
    assert again.status_code == 400
    assert again.json() == {
        "error": "invalid_grant",
        "error_description": "expired access/refresh token",
    }
    assert own.query("SELECT Id FROM User").status_code == 401
    own.login()
    assert own.query("SELECT Id FROM User").status_code == 200
    dead = own.http.get(own.root + page["nextRecordsUrl"])
    assert (dead.status_code, dead.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_idle_refresh_token(own) -> None:
    """Statement 4: a refresh token that nobody used for 30 days is dead."""
    own.sandbox.clock.advance(29 * 86_400)
    own.login()
    own.sandbox.clock.advance(31 * 86_400)
    response = own.token(grant_type="refresh_token", refresh_token=credentials.REFRESH_TOKEN)
    assert response.json()["error"] == "invalid_grant"


def test_session_timeout(own) -> None:
    """Two idle hours end a session; use keeps it alive."""
    for _ in range(3):
        own.sandbox.clock.advance(7000)
        assert own.get("/limits").status_code == 200
    own.sandbox.clock.advance(7201)
    assert own.get("/limits").status_code == 401


def test_error_shapes(client) -> None:
    """Statement 5: data errors are an array, OAuth errors an object."""
    refused = client.get("/limits", headers={"Authorization": "Bearer nonsense"})
    assert refused.status_code == 401
    assert refused.json() == [
        {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    ]
    assert client.token(grant_type="magic").json()["error"] == "unsupported_grant_type"
    assert (
        client.token(grant_type="client_credentials", client_id="x").json()["error"]
        == "invalid_client_id"
    )
    assert (
        client.token(grant_type="client_credentials", client_secret="x").json()["error"]
        == "invalid_client"
    )


def test_revoke_introspect_userinfo(own) -> None:
    """A revoked token is inactive and useless."""
    token = own.http.headers["Authorization"].removeprefix("Bearer ")
    oauth = f"{own.root}/services/oauth2"
    client = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
    assert (
        own.http.post(f"{oauth}/introspect", data=client | {"token": token}).json()["active"]
        is True
    )
    user = own.http.get(f"{oauth}/userinfo").json()
    assert user["organization_id"].startswith("00D")
    identity = own.http.get(user["sub"]).json()
    for here, there in {"user_id": "user_id", "sub": "id", "zoneinfo": "timezone"}.items():
        assert user[here] == identity[there]
    assert (user["urls"], "username" in user) == (identity["urls"], False)
    assert own.http.post(f"{oauth}/revoke", data={"token": token}).status_code == 200
    assert own.http.post(f"{oauth}/introspect", data=client | {"token": token}).json() == {
        "active": False
    }
    assert own.get("/limits").status_code == 401


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    first, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    return first, other


def test_jwt_bearer(own, keys) -> None:
    """Statement 1: a signed assertion gives a token, without issued_at and signature."""
    right, wrong = keys
    pem = right.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    now = int(own.sandbox.clock.now().timestamp())
    claims = {
        "iss": credentials.CLIENT_ID,
        "sub": credentials.USERNAME,
        "aud": "https://login.salesforce.com",
        "exp": now + 170,
    }

    def login(key=right, **changes) -> requests.Response:
        assertion = jwt.encode(claims | changes, key, algorithm="RS256")
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return own.token(grant_type=grant, assertion=assertion)

    assert login().json()["error_description"] == "user hasn't approved this consumer"
    own.sandbox.salesforce.register_certificate(pem.decode())
    response = login()
    assert set(response.json()) == {"access_token", "scope", "instance_url", "id", "token_type"}
    own.http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    assert own.get("/limits").status_code == 200
    refusals = [
        login(wrong),
        login(sub="x"),
        login(aud="x"),
        login(exp=now - 1),
        login(exp=now + 900),
    ]
    assert [(one.status_code, one.json()["error"]) for one in refusals] == [
        (400, "invalid_grant")
    ] * 5
    assert login(iss="x").json()["error"] == "invalid_client_id"


VERIFIER = "v" * 50
CALLBACK = "http://localhost:1717/OauthRedirect"


def challenge(verifier: str = VERIFIER) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def consented(own, decision: str = "allow", **changes: str) -> dict[str, str]:
    """Go to the page as a browser does, press a button, and return what the app is sent."""
    asked = {
        "response_type": "code",
        "client_id": credentials.CLIENT_ID,
        "redirect_uri": CALLBACK,
        "state": "s<1>&",
        "scope": "api refresh_token",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    }
    page = requests.get(f"{own.root}/services/oauth2/authorize", params=asked | changes)
    assert page.status_code == 200, page.text
    action = unescape(re.search(r'action="([^"]+)"', page.text)[1])
    fields = re.findall(r'name="([^"]+)" value="([^"]*)">', page.text)
    form = {name: unescape(value) for name, value in fields if name != "decision"}
    response = requests.post(action, data=form | {"decision": decision}, allow_redirects=False)
    assert response.status_code == 302
    target = response.headers["Location"]
    assert target.startswith(CALLBACK + "?")
    return dict(parse_qsl(urlsplit(target).query))


def redeemed(own, code: str, **changes: str) -> dict[str, Any]:
    form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return own.token(**({"grant_type": "authorization_code"} | form | changes)).json()


def test_authorization_code(own) -> None:
    """Statement 1: consent gives a code, and the code a session and a refresh token of its own."""
    sent = consented(own)
    assert sent["state"] == "s<1>&"
    answer = redeemed(own, sent["code"])
    assert set(answer) == COMMON | {"scope", "refresh_token"}
    own.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
    assert own.get("/limits").status_code == 200
    chain = own.token(grant_type="refresh_token", refresh_token=answer["refresh_token"])
    assert chain.status_code == 200
    assert answer["refresh_token"] != credentials.REFRESH_TOKEN


def test_refused_consent(own) -> None:
    """A user who says no sends the app an error and no code."""
    sent = consented(own, "deny")
    assert sent == {
        "error": "access_denied",
        "error_description": "end-user denied authorization",
        "state": "s<1>&",
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code_verifier": "w" * 50}, "invalid code verifier"),
        ({"code_verifier": ""}, "invalid code verifier"),
        ({"redirect_uri": "http://localhost:1/OauthRedirect"}, "redirect_uri must match"),
    ],
)
def test_a_code_is_for_one_app_and_one_use(own, change: dict[str, str], words: str) -> None:
    """A code is worth nothing with another verifier or address, and dead after its first use."""
    code = consented(own)["code"]
    refused = redeemed(own, code, **change)
    assert refused["error"] == "invalid_grant"
    assert words in refused["error_description"]
    assert redeemed(own, code)["error_description"] == "expired authorization code"


def test_a_code_is_short_lived(own) -> None:
    """A code dies after a quarter of an hour by the sandbox's clock."""
    codes = [consented(own)["code"] for _ in range(2)]
    own.sandbox.clock.advance(15 * 60)
    assert "access_token" in redeemed(own, codes[0])
    own.sandbox.clock.advance(1)
    assert redeemed(own, codes[1])["error_description"] == "expired authorization code"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_id": "x"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.example/OauthRedirect"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost.evil.example/OauthRedirect"}, "redirect_uri_mismatch"),
    ],
)
def test_a_wrong_app_is_not_redirected(own, change: dict[str, str], words: str) -> None:
    """What is wrong with app or address is said on a page, and goes nowhere."""
    asked = {"client_id": credentials.CLIENT_ID, "redirect_uri": CALLBACK} | change
    page = requests.get(
        f"{own.root}/services/oauth2/authorize", params=asked, allow_redirects=False
    )
    assert page.status_code == 400
    assert words in page.text


@pytest.mark.parametrize(
    "change",
    [
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
        {"response_type": "token"},
    ],
)
def test_pkce_is_required(own, change: dict[str, str]) -> None:
    """Without an S256 challenge there is no page, only an error for the app."""
    asked = {
        "client_id": credentials.CLIENT_ID,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    } | change
    response = requests.get(
        f"{own.root}/services/oauth2/authorize", params=asked, allow_redirects=False
    )
    sent = dict(parse_qsl(urlsplit(response.headers["Location"]).query))
    assert response.status_code == 302
    assert sent["error"] in {"invalid_request", "unsupported_response_type"}


def test_revoked_chain(own) -> None:
    """A revoked refresh token is inactive, takes the sessions with it, and refreshes nothing."""
    chain = redeemed(own, consented(own)["code"])["refresh_token"]
    client = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
    oauth = f"{own.root}/services/oauth2"

    def is_active() -> bool:
        return requests.post(f"{oauth}/introspect", data=client | {"token": chain}).json()["active"]

    assert is_active()
    assert requests.post(f"{oauth}/revoke", data={"token": chain}).status_code == 200
    assert not is_active()
    assert own.get("/limits").status_code == 401
    refused = own.token(grant_type="refresh_token", refresh_token=chain)
    assert refused.json()["error_description"] == "expired access/refresh token"


def test_parameters_in_the_address(client) -> None:
    """The token endpoint takes its parameters in the query string of the POST, too."""
    asked = {
        "grant_type": "refresh_token",
        "client_id": credentials.CLIENT_ID,
        "client_secret": credentials.CLIENT_SECRET,
        "refresh_token": credentials.REFRESH_TOKEN,
    }
    url = f"{client.root}/services/oauth2/token"
    response = requests.post(url, params=asked, timeout=10)
    assert set(response.json()) == COMMON | {"scope"}
    assert requests.post(url, params=asked | {"client_secret": "x"}, timeout=10).status_code == 400


def test_a_version_names_the_identity(client) -> None:
    """The resources of a version lead to who is asking."""
    listed = client.get("/").json()
    assert listed["identity"] == client.login()["id"]
    assert client.http.get(listed["identity"]).json()["username"] == credentials.USERNAME
