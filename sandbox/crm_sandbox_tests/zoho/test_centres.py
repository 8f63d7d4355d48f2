import pytest
import requests

from crm_sandbox.zoho.centres import CENTRES
from crm_sandbox.zoho.credentials import BY_ACCOUNT
from crm_sandbox.zoho.scopes import ALL_SCOPES
from crm_sandbox_tests.conftest import through_proxy

HOMES = {
    "main": ("accounts.zoho.com", "zohoapis.com"),
    "second": ("accounts.zoho.eu", "zohoapis.eu"),
}


def at(sandbox, host: str, path: str, method: str = "GET", **options) -> requests.Response:
    headers = {"Host": host, **options.pop("headers", {})}
    return requests.request(method, f"{sandbox.url}{path}", headers=headers, timeout=10, **options)


def asked(account: str) -> dict[str, str]:
    one = BY_ACCOUNT[account]
    return {
        "grant_type": "refresh_token",
        "client_id": one.client_id,
        "client_secret": one.client_secret,
        "refresh_token": one.refresh_token,
    }


def held(sandbox, account: str) -> dict[str, str]:
    token = sandbox.emulations["zoho"].grants.issue(account, ALL_SCOPES).token
    return {"Authorization": f"Zoho-oauthtoken {token}"}


@pytest.mark.parametrize("account", HOMES)
def test_api_domain_of_the_centre(sandbox, account: str) -> None:
    """Statement 1: by host the token answer names the API of the org's own data centre."""
    accounts, api = HOMES[account]
    answer = at(sandbox, accounts, "/oauth/v2/token", "POST", data=asked(account)).json()
    assert answer["api_domain"] == f"http://www.{api}"
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    for host in (f"www.{api}", api):
        assert at(sandbox, host, "/crm/v8/org", headers=headers).status_code == 200


@pytest.mark.parametrize("account", HOMES)
def test_tokens_stay_in_their_centre(sandbox, account: str) -> None:
    """Statement 5: a token is refused on every other centre's API host, a refresh token on its accounts server."""
    headers, home = held(sandbox, account), HOMES[account]
    for centre in CENTRES:
        response = at(sandbox, f"www.{centre.api}", "/crm/v8/org", headers=headers)
        token = at(sandbox, centre.accounts, "/oauth/v2/token", "POST", data=asked(account))
        if centre.api == home[1]:
            assert response.status_code == 200
            assert "access_token" in token.json()
        else:
            assert (response.status_code, response.json()["status"]) == (401, "error")
            assert token.json() == {"error": "invalid_client"}


@pytest.mark.parametrize(
    ("code", "status"),
    [("INVALID_TOKEN", 401), ("INVALID_HOST", 400), ("AUTHENTICATION_FAILURE", 401)],
)
def test_refusal_of_a_foreign_token(shared_zoho, code: str, status: int) -> None:
    """What a token answers in another centre is a switch, because sources differ."""
    shared_zoho.admin("set_foreign", code=code)
    response = at(
        shared_zoho.sandbox,
        "www.zohoapis.eu",
        "/crm/v8/org",
        headers=held(shared_zoho.sandbox, "main"),
    )
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("www.zohoapis.com", "/oauth/v2/token"),
        ("accounts.zoho.com", "/crm/v8/org"),
        ("www.zohoapis.com", "/crm/v9/org"),
        ("www.zohoapis.com", "/elsewhere"),
    ],
)
def test_wrong_server(sandbox, host: str, path: str) -> None:
    """An accounts server has no API, an API server no tokens; unknown addresses are INVALID_URL_PATTERN."""
    method = "POST" if "oauth" in path else "GET"
    response = at(sandbox, host, path, method, headers=held(sandbox, "main"))
    assert (response.status_code, response.json()["code"]) == (404, "INVALID_URL_PATTERN")


def test_by_proxy_and_by_prefix(sandbox, monkeypatch) -> None:
    """Statement 1: api_domain leads back to the sandbox by real host names through the proxy, and by prefix."""
    through_proxy(sandbox, monkeypatch)
    with requests.Session() as http:
        token = http.post("https://accounts.zoho.eu/oauth/v2/token", data=asked("second")).json()
        assert token["api_domain"] == "https://www.zohoapis.eu"
        headers = {"Authorization": f"Zoho-oauthtoken {token['access_token']}"}
        org = http.get(f"{token['api_domain']}/crm/v8/org", headers=headers).json()["org"][0]
        assert org["time_zone"] == "Europe/Berlin"
    monkeypatch.delenv("HTTPS_PROXY")
    url = f"{sandbox.url}/zoho/oauth/v2/token"
    token = requests.post(url, data=asked("second"), timeout=10).json()
    headers = {"Authorization": f"Zoho-oauthtoken {token['access_token']}"}
    again = requests.get(f"{token['api_domain']}/crm/v8/org", headers=headers, timeout=10)
    assert again.json()["org"][0] == org
