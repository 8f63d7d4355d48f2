from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_sandbox.zoho.credentials import BY_ACCOUNT


def me(own_zoho, token: str, scheme: str = "Zoho-oauthtoken") -> requests.Response:
    headers = {"Authorization": f"{scheme} {token}"}
    return requests.get(f"{own_zoho.root}/crm/v8/org", headers=headers, timeout=10)


def test_refresh_by_form_and_by_address(own_zoho) -> None:
    """Statement 1: a refresh token is traded by form or by address; the answer has no refresh token."""
    asked = {
        "grant_type": "refresh_token",
        "client_id": own_zoho.credentials.client_id,
        "client_secret": own_zoho.credentials.client_secret,
        "refresh_token": own_zoho.credentials.refresh_token,
    }
    url = f"{own_zoho.root}/oauth/v2/token"
    by_form = requests.post(url, data=asked, timeout=10).json()
    by_address = requests.post(url, params=asked, timeout=10).json()
    for answer in (by_form, by_address):
        assert set(answer) == {"access_token", "api_domain", "token_type", "expires_in"}
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        assert answer["api_domain"] == own_zoho.root
        assert me(own_zoho, answer["access_token"]).status_code == 200


def test_self_client_code(own_zoho) -> None:
    """Statements 1, 3: a self-client's code gives a refresh token, once; again it is HTTP 200 with an error."""
    asked = {"grant_type": "authorization_code", "code": own_zoho.credentials.code}
    first = own_zoho.token(**asked).json()
    assert first["expires_in"] == 3600
    own_refresh = own_zoho.token(refresh_token=first["refresh_token"]).json()
    assert me(own_zoho, own_refresh["access_token"]).status_code == 200
    again = own_zoho.token(**asked)
    assert (again.status_code, again.json()) == (200, {"error": "invalid_code"})


def test_web_code(own_zoho) -> None:
    """Statement 1: consent redirects with code, location and accounts server; offline gives a refresh token."""
    asked = {
        "client_id": own_zoho.credentials.client_id,
        "redirect_uri": "http://localhost:8899/callback",
        "response_type": "code",
        "scope": "ZohoCRM.modules.ALL,ZohoCRM.org.READ",
        "state": "s1",
    }
    url = f"{own_zoho.root}/oauth/v2/auth"
    assert requests.get(url, params=asked, timeout=10).status_code == 200
    for access_type in ("offline", "online"):
        form = asked | {"access_type": access_type, "decision": "accept"}
        sent = requests.post(url, data=form, timeout=10, allow_redirects=False)
        said = parse_qs(urlsplit(sent.headers["Location"]).query)
        assert (said["location"], said["state"]) == (["us"], ["s1"])
        assert said["accounts-server"] == [own_zoho.root]
        answer = own_zoho.token(
            grant_type="authorization_code",
            code=said["code"][0],
            redirect_uri=asked["redirect_uri"],
        ).json()
        assert ("refresh_token" in answer) == (access_type == "offline")
        assert me(own_zoho, answer["access_token"]).status_code == 200


def test_late_code(own_zoho) -> None:
    """Statement 3: a web code is dead after two minutes."""
    asked = {
        "client_id": own_zoho.credentials.client_id,
        "redirect_uri": "http://localhost/callback",
        "response_type": "code",
        "scope": "ZohoCRM.org.READ",
        "decision": "accept",
    }
    sent = requests.post(
        f"{own_zoho.root}/oauth/v2/auth", data=asked, timeout=10, allow_redirects=False
    )
    code = parse_qs(urlsplit(sent.headers["Location"]).query)["code"][0]
    own_zoho.advance(121)
    response = own_zoho.token(
        grant_type="authorization_code", code=code, redirect_uri=asked["redirect_uri"]
    )
    assert (response.status_code, response.json()) == (200, {"error": "invalid_code"})


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"refresh_token": "1000.dead"}, "invalid_code"),
        ({"client_id": "1000.NOBODY"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"refresh_token": BY_ACCOUNT["second"].refresh_token}, "invalid_code"),
    ],
)
def test_refusals_have_status_200(shared_zoho, wrong, word) -> None:
    """Statement 3: what the token endpoint refuses comes with HTTP 200 and an error word."""
    response = shared_zoho.token(**wrong)
    assert (response.status_code, response.json()) == (200, {"error": word})


def test_revoked_refresh_token(own_zoho) -> None:
    """Statement 3: a revoked refresh token is dead, and its access tokens with it."""
    access = own_zoho.token().json()["access_token"]
    url = f"{own_zoho.root}/oauth/v2/token/revoke"
    revoked = requests.post(url, params={"token": own_zoho.credentials.refresh_token}, timeout=10)
    assert revoked.json() == {"status": "success"}
    assert own_zoho.token().json() == {"error": "invalid_code"}
    assert me(own_zoho, access).json()["code"] == "INVALID_TOKEN"


def test_throttle(own_zoho) -> None:
    """Statement 2: the 11th token request in ten minutes is 400 Access Denied, whatever the others were."""
    for _ in range(10):
        assert own_zoho.token().status_code == 200
    denied = own_zoho.token()
    assert (denied.status_code, denied.json()["error"]) == (400, "Access Denied")
    assert "too many requests" in denied.json()["error_description"]
    own_zoho.advance(601)
    assert "access_token" in own_zoho.token().json()
    own_zoho.admin("set_token_limits", requests=2)
    assert [own_zoho.token().status_code for _ in range(3)] == [200, 200, 400]


@pytest.mark.parametrize("most", [10, 3])
def test_most_access_tokens(own_zoho, most: int) -> None:
    """Statement 2: one access token more than may live ends the oldest, which answers INVALID_TOKEN."""
    own_zoho.admin("set_token_limits", requests=100, most_access=most)
    tokens = [own_zoho.token().json()["access_token"] for _ in range(most)]
    assert me(own_zoho, tokens[0]).status_code == 200
    tokens.append(own_zoho.token().json()["access_token"])
    oldest = me(own_zoho, tokens[0])
    assert (oldest.status_code, oldest.json()["code"]) == (401, "INVALID_TOKEN")
    assert all(me(own_zoho, token).status_code == 200 for token in tokens[1:])


@pytest.mark.parametrize("scheme", ["Zoho-oauthtoken", "Bearer"])
def test_both_schemes(shared_zoho, scheme: str) -> None:
    """Statement 4: a token is accepted as Zoho-oauthtoken and as Bearer."""
    assert me(shared_zoho, shared_zoho.login(), scheme).status_code == 200


def test_missing_expired_and_narrow_tokens(own_zoho) -> None:
    """Statement 4: no token, an expired one and one of the wrong scope have their own envelopes."""
    url = f"{own_zoho.root}/crm/v8/Contacts?fields=id"
    missing = requests.get(url, timeout=10)
    assert missing.status_code == 401
    assert missing.json() == {
        "code": "AUTHENTICATION_FAILURE",
        "details": {},
        "message": "Authentication failed",
        "status": "error",
    }
    expired = own_zoho.login()
    own_zoho.advance(timedelta(hours=1).total_seconds())
    response = me(own_zoho, expired)
    assert response.status_code == 401
    assert response.json() == {
        "code": "INVALID_TOKEN",
        "details": {},
        "message": "invalid oauth token",
        "status": "error",
    }
    own_zoho.login("ZohoCRM.modules.Leads.READ", "ZohoCRM.settings.fields.READ")
    assert own_zoho.get("/Leads?fields=id").status_code == 200
    assert own_zoho.get("/settings/fields?module=Leads").status_code == 200
    for path in ("/Contacts?fields=id", "/settings/modules", "/org", "/users"):
        narrow = own_zoho.get(path)
        assert narrow.status_code == 401
        assert narrow.json() == {
            "code": "OAUTH_SCOPE_MISMATCH",
            "details": {},
            "message": "invalid oauth scope to access this URL",
            "status": "error",
        }


def test_client_credentials(own_zoho) -> None:
    """Client credentials name the org in `soid` and give no refresh token."""
    soid = f"ZohoCRM.{own_zoho.get('/org').json()['org'][0]['zgid']}"
    asked = {"grant_type": "client_credentials", "soid": soid, "scope": "ZohoCRM.org.READ"}
    answer = own_zoho.token(**asked).json()
    assert "refresh_token" not in answer
    assert me(own_zoho, answer["access_token"]).status_code == 200
    assert "error" in own_zoho.token(**asked | {"soid": "ZohoCRM.1"}).json()


def test_session_ends_in_the_middle(own_zoho) -> None:
    """An ordered end of the session answers INVALID_TOKEN to this request and to the next."""
    own_zoho.sandbox.faults.order("expire_session", vendor="zoho", path="/Contacts")
    for _ in range(2):
        answer = own_zoho.get("/Contacts?fields=id")
        assert own_zoho.refusal(answer) == (401, "INVALID_TOKEN")
    own_zoho.login()
    assert own_zoho.get("/Contacts?fields=id").status_code == 200


def test_refresh_by_parts(own_zoho) -> None:
    """The token endpoint takes its parameters in parts, too, as the vendor's JavaScript SDK sends them."""
    asked = {
        "grant_type": (None, "refresh_token"),
        "client_id": (None, own_zoho.credentials.client_id),
        "client_secret": (None, own_zoho.credentials.client_secret),
        "refresh_token": (None, own_zoho.credentials.refresh_token),
    }
    answer = requests.post(f"{own_zoho.root}/oauth/v2/token", files=asked, timeout=10).json()
    assert me(own_zoho, answer["access_token"]).status_code == 200
