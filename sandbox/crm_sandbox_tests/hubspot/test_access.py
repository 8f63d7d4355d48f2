import time

import pytest
import requests

from crm_sandbox.hubspot import credentials


def test_an_unknown_token(hubspot) -> None:
    """Statement 1: an unknown token answers 401 INVALID_AUTHENTICATION."""
    for header in ("Bearer nobody", "Basic x", ""):
        response = requests.get(
            f"{hubspot.root}/crm/v3/objects/contacts", headers={"Authorization": header}
        )
        assert response.status_code == 401
        assert response.json()["category"] == "INVALID_AUTHENTICATION"
        assert response.json()["correlationId"] == response.headers["X-HubSpot-Correlation-Id"]


def test_a_token_without_the_scope(hubspot) -> None:
    """Statement 1: a token that lacks a scope answers 403 MISSING_SCOPES and names it."""
    header = {"Authorization": f"Bearer {hubspot.facts.contacts_token}"}
    path = f"{hubspot.root}/crm/v3/objects"
    assert requests.get(f"{path}/contacts", headers=header).status_code == 200
    response = requests.get(f"{path}/deals", headers=header)
    assert response.status_code == 403
    assert response.json()["category"] == "MISSING_SCOPES"
    context = response.json()["errors"][0]["context"]
    assert context == {"requiredGranularScopes": ["crm.objects.deals.read"]}
    assert requests.post(f"{path}/contacts", json={}, headers=header).status_code == 403


def test_an_access_token_lives_half_an_hour(own) -> None:
    """Statement 1: an access token ends after 1,800 seconds of the sandbox's clock."""
    answer = own.token(grant_type="refresh_token", refresh_token=own.facts.refresh_token).json()
    assert answer["expires_in"] == 1_800
    header = {"Authorization": f"Bearer {answer['access_token']}"}
    url = f"{own.root}/crm/v3/objects/contacts"
    assert requests.get(url, headers=header).status_code == 200
    own.sandbox.clock.advance(1_799)
    assert requests.get(url, headers=header).status_code == 200
    own.sandbox.clock.advance(2)
    refused = requests.get(url, headers=header)
    assert refused.status_code == 401
    assert refused.json()["category"] == "EXPIRED_AUTHENTICATION"


def test_a_session_that_ends_on_order(own) -> None:
    """A token expires in the middle, on order; the next one works."""
    own.admin("/faults", {"kind": "expire_session", "vendor": "hubspot", "path": "contacts"})
    assert own.get("/crm/v3/objects/contacts").status_code == 401
    assert own.get("/crm/v3/objects/contacts").status_code == 200


@pytest.mark.parametrize("version", ["v1", "v3", "2026-03", "2026-09"])
def test_refresh(hubspot, version: str) -> None:
    """Statement 2: every token endpoint trades a refresh token; since v3 it says for whom."""
    form = {"grant_type": "refresh_token", "refresh_token": hubspot.facts.refresh_token}
    body = hubspot.token(version, **form).json()
    assert body["token_type"] == "bearer"
    assert body["refresh_token"] == hubspot.facts.refresh_token
    more = {"hub_id", "user_id", "scopes"}
    assert (more & set(body)) == (set() if version == "v1" else more)
    wrong = hubspot.token(version, **(form | {"refresh_token": "nothing"}))
    assert wrong.status_code == 400
    assert wrong.json()["status"] == "BAD_REFRESH_TOKEN"
    assert wrong.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("version", ["v1", "v3", "2026-03", "2026-09"])
def test_only_forms(hubspot, version: str) -> None:
    """Statement 2: the token endpoints refuse JSON."""
    body = {"grant_type": "refresh_token", "refresh_token": hubspot.facts.refresh_token}
    response = requests.post(f"{hubspot.root}/oauth/{version}/token", json=body)
    assert 400 <= response.status_code < 500
    assert "access_token" not in response.json()


def test_bad_clients(hubspot) -> None:
    """A wrong client id or secret is named."""
    form = {"grant_type": "refresh_token", "refresh_token": hubspot.facts.refresh_token}
    assert hubspot.token(**form, client_id="x").json()["status"] == "BAD_CLIENT_ID"
    assert hubspot.token(**form, client_secret="x").json()["status"] == "BAD_CLIENT_SECRET"
    assert hubspot.token(grant_type="x").json()["status"] == "BAD_GRANT_TYPE"


def test_what_a_token_is(own) -> None:
    """Tokens can be looked at and revoked, in the old way and in the new."""
    form = {"grant_type": "refresh_token", "refresh_token": own.facts.refresh_token}
    token = own.token(**form).json()["access_token"]
    assert own.get(f"/oauth/v1/access-tokens/{token}").json()["hub_id"] == own.facts.hub_id
    about = own.get(f"/oauth/v1/refresh-tokens/{own.facts.refresh_token}").json()
    assert about["user"] == "user0@sandbox.example"
    wanted = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
    url = f"{own.root}/oauth/v3/token"
    seen = requests.post(f"{url}/introspect", data=wanted | {"token": token}).json()
    assert seen["active"] is True
    assert seen["hub_id"] == own.facts.hub_id
    requests.post(f"{url}/revoke", data=wanted | {"token": own.facts.refresh_token})
    assert (
        requests.post(f"{url}/introspect", data=wanted | {"token": token}).json()["active"] is False
    )
    assert own.token(**form).status_code == 400


def test_rotation(own) -> None:
    """On order a refresh answers another refresh token, and the former one is dead."""
    own.truth.rotate(on=True)
    form = {"grant_type": "refresh_token", "refresh_token": own.facts.refresh_token}
    following = own.token(**form).json()["refresh_token"]
    assert following != own.facts.refresh_token
    assert own.token(**form).status_code == 400
    assert own.token(**(form | {"refresh_token": following})).status_code == 200


def test_consent(own) -> None:
    """The page of consent sends a code back, which is traded once for tokens of that portal."""
    asked = {
        "client_id": credentials.CLIENT_ID,
        "redirect_uri": "http://localhost:7777/callback",
        "scope": "oauth",
        "state": "s1",
    }
    url = f"{own.root}/oauth/authorize"
    assert "Connect app" in requests.get(url, params=asked).text
    form = asked | {"decision": "allow", "account": "second"}
    sent = requests.post(url, data=form, allow_redirects=False).headers["Location"]
    assert "state=s1" in sent
    code = sent.partition("code=")[2]
    trade = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked["redirect_uri"],
    }
    assert own.token("v3", **trade).json()["hub_id"] == credentials.SECOND.hub_id
    assert own.token("v3", **trade).json()["status"] == "BAD_AUTH_CODE"
    denied = requests.post(url, data=asked | {"decision": "deny"}, allow_redirects=False)
    assert "error=access_denied" in denied.headers["Location"]
    assert (
        requests.get(url, params=asked | {"redirect_uri": "http://evil.example"}).status_code == 400
    )


class Ticks:
    """A clock for windows of seconds that stands still."""

    def __init__(self) -> None:
        self.at = time.monotonic()

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def limits(own):
    found = own.truth.api("main").portal.limits
    found.now = Ticks()
    found.set(private=190, marketplace=110, search=5, associations=200)
    return found


def test_the_ten_second_window(own, limits) -> None:
    """Statement 17: too many calls in ten seconds answer 429 with policyName TEN_SECONDLY_ROLLING."""
    limits.set(private=3)
    statuses = [own.get("/crm/v3/owners").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    body = own.get("/crm/v3/owners").json()
    assert body["policyName"] == "TEN_SECONDLY_ROLLING"
    assert body["errorType"] == "RATE_LIMIT"
    assert "category" not in body
    limits.now.at += 10.1
    assert own.get("/crm/v3/owners").status_code == 200


def test_published_ceilings(own, limits) -> None:
    """Statement 17: 190 for private apps, 110 for apps of the marketplace, 5 searches a second."""
    shown = own.admin("/hubspot/limits").json()
    assert shown["private"] == 190
    assert shown["marketplace"] == 110
    assert shown["search"] == 5
    assert own.get("/crm/v3/owners").headers["X-HubSpot-RateLimit-Max"] == "190"
    form = {"grant_type": "refresh_token", "refresh_token": own.facts.refresh_token}
    header = {"Authorization": f"Bearer {own.token(**form).json()['access_token']}"}
    url = f"{own.root}/crm/v3/owners"
    assert requests.get(url, headers=header).headers["X-HubSpot-RateLimit-Max"] == "110"


def test_five_searches_a_second(own, limits) -> None:
    """Statement 17: the sixth search in a second answers RATE_LIMITS without policy and Retry-After."""
    statuses = [own.search("contacts").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = own.search("contacts")
    assert refused.json()["category"] == "RATE_LIMITS"
    assert refused.json()["message"] == "You have reached your secondly limit."
    assert "policyName" not in refused.json()
    assert "Retry-After" not in refused.headers
    assert own.get("/crm/v3/owners").headers["X-HubSpot-RateLimit-Remaining"] == "189"
    limits.now.at += 1.1
    assert own.search("contacts").status_code == 200


def test_the_day_ends_at_the_accounts_midnight(own, limits) -> None:
    """Statement 17: the daily ceiling answers DAILY until midnight of the account's time zone."""
    own.admin("/hubspot/set_limits", {"daily": 10, "daily_used": 9})
    assert own.get("/crm/v3/owners").headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0"
    refused = own.get("/crm/v3/owners")
    assert refused.status_code == 429
    assert refused.json()["policyName"] == "DAILY"
    # The clock stands at noon UTC, the account is five hours behind.
    own.sandbox.clock.advance(16.9 * 3600)
    assert own.get("/crm/v3/owners").status_code == 429
    own.sandbox.clock.advance(0.2 * 3600)
    assert own.get("/crm/v3/owners").status_code == 200


def test_headers(own, limits) -> None:
    """Statement 18: answers count down; a search shows the daily pair; OAuth tokens have no daily."""
    first, then = (own.get("/crm/v3/owners").headers for _ in range(2))
    name = "X-HubSpot-RateLimit-"
    assert int(first[f"{name}Remaining"]) - int(then[f"{name}Remaining"]) == 1
    assert int(first[f"{name}Daily-Remaining"]) - int(then[f"{name}Daily-Remaining"]) == 1
    assert then[f"{name}Interval-Milliseconds"] == "10000"
    searched = [key for key in own.search("contacts").headers if key.startswith(name)]
    assert sorted(searched) == [f"{name}Daily", f"{name}Daily-Remaining"]
    form = {"grant_type": "refresh_token", "refresh_token": own.facts.refresh_token}
    header = {"Authorization": f"Bearer {own.token(**form).json()['access_token']}"}
    answer = requests.get(f"{own.root}/crm/v3/owners", headers=header).headers
    assert f"{name}Daily" not in answer
    assert f"{name}Max" in answer


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (423, {}, "{}"),
        (477, {"Retry-After": "30"}, "{}"),
        (502, {}, ""),
        (503, {}, ""),
        (504, {}, ""),
        (524, {}, "<html>524</html>"),
        (530, {}, "<html>530</html>"),
    ],
)
def test_faults(own, status: int, headers: dict, body: str) -> None:
    """Statement 19: the statuses that the vendor and what stands before it answer come on order."""
    order = {
        "kind": "status",
        "vendor": "hubspot",
        "status": status,
        "headers": headers,
        "body": body,
    }
    own.admin("/faults", order)
    response = own.get("/crm/v3/owners")
    assert response.status_code == status
    assert response.text == body
    assert headers.items() <= dict(response.headers).items()
    assert ("text/html" in response.headers["Content-Type"]) == body.startswith("<")
    assert own.get("/crm/v3/owners").status_code == 200


def test_a_version_that_was_switched_off(own) -> None:
    """Statement 32: from a chosen day on a version answers 404, or 410 on order."""
    own.admin("/hubspot/set", {"retired": {"v3": "2026-11-02"}})
    assert own.get("/crm/v3/owners").status_code == 200
    own.sandbox.clock.advance(86_400)
    assert own.get("/crm/v3/owners").status_code == 404
    assert own.get("/crm/owners/2026-09").status_code == 200
    own.admin("/hubspot/set", {"retired_status": 410})
    assert own.get("/crm/v3/owners").status_code == 410
