import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crm_pipeline.sandbox.salesforce import credentials

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
    for answer in (in_body, basic):
        assert set(answer.json()) == COMMON | {"scope", "api_instance_url"}


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
    page = own.query(
        "SELECT Id FROM OpportunityHistory", headers={"Sforce-Query-Options": "batchSize=200"}
    )
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
    assert page.json()["done"] is True


def test_idle_refresh_token(own) -> None:
    """Statement 4: a refresh token that nobody used for 30 days is dead."""
    own.sandbox.clock.advance(29 * 86_400)
    own.login()
    own.sandbox.clock.advance(31 * 86_400)
    answer = own.token(grant_type="refresh_token", refresh_token=credentials.REFRESH_TOKEN)
    assert answer.json()["error"] == "invalid_grant"


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
    assert own.http.get(user["id"]).json()["user_id"] == user["user_id"]
    assert own.http.post(f"{oauth}/revoke", data={"token": token}).status_code == 200
    assert own.http.post(f"{oauth}/introspect", data=client | {"token": token}).json() == {
        "active": False
    }
    assert own.get("/limits").status_code == 401


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    return tuple(rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


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
    answer = login()
    assert set(answer.json()) == {"access_token", "scope", "instance_url", "id", "token_type"}
    own.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
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
