from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_sandbox.pipedrive import credentials
from crm_sandbox_tests.pipedrive.conftest import Client, as_colleague


def test_both_kinds_of_token(own) -> None:
    """Statement 1: the header x-api-token and a Bearer token let one in; ?api_token= only behind a switch."""
    assert own.v2("/pipelines").status_code == 200
    with_query = requests.Session()
    url = f"{own.root}/api/v2/pipelines?api_token={own.access.api_token}"
    assert with_query.get(url).status_code == 401
    own.truth.accept_query_token()
    assert with_query.get(url).status_code == 200
    assert own.access.api_token not in str(own.sandbox.journal.as_rows())
    own.login()
    assert own.v2("/pipelines").status_code == 200
    with_query.close()


def test_bad_token(own) -> None:
    """Statement 1: a bad token is answered by the gateway, with a correlation id."""
    for headers in ({"x-api-token": "nonsense"}, {"Authorization": "Bearer nonsense"}, {}):
        refused = requests.get(f"{own.root}/api/v2/persons", headers=headers, timeout=10)
        assert refused.status_code == 401
        assert refused.json() == {
            "success": False,
            "error": "unauthorized access",
            "errorCode": 401,
            "error_info": "Please check developers.pipedrive.com",
        }
        assert refused.headers["x-correlation-id"]
        assert "x-401-by-gw" in refused.headers


def test_scopes(own) -> None:
    """Statement 1: an app without the scope gets 403 "Scope and URL mismatch"; any of an operation's will do."""
    own.truth.grant(["base", "deals:read"])
    assert own.login()["scope"] == "base,deals:read"
    assert own.v2("/deals").status_code == 200
    assert own.v2("/stages").status_code == 200
    assert own.get("/v1/users/me").status_code == 200
    refused = own.v2("/persons")
    assert (refused.status_code, refused.json()["error"]) == (403, "Scope and URL mismatch")
    assert own.get("/v1/leads").status_code == 403


def test_rotation(own) -> None:
    """Statement 2: a refresh token works once; what comes back instead works."""
    first = own.token(grant_type="refresh_token", refresh_token=own.access.refresh_token)
    assert first.status_code == 200
    answer = first.json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    assert answer["api_domain"] == own.root
    assert answer["refresh_token"] != own.access.refresh_token
    again = own.token(grant_type="refresh_token", refresh_token=own.access.refresh_token)
    assert again.status_code == 400
    assert "Invalid grant: refresh_token is invalid" in again.text
    next_one = own.token(grant_type="refresh_token", refresh_token=answer["refresh_token"])
    assert next_one.status_code == 200


def test_api_domain_by_host(own) -> None:
    """Statement 2: asked under the vendor's host name, api_domain is the company's own."""
    answer = requests.post(
        f"{own.sandbox.url}/oauth/token",
        data={"grant_type": "refresh_token", "refresh_token": own.access.refresh_token},
        auth=(credentials.CLIENT_ID, credentials.CLIENT_SECRET),
        headers={"Host": "oauth.pipedrive.com"},
        timeout=10,
    ).json()
    assert answer["api_domain"] == "https://sandbox-main.pipedrive.com"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Missing parameter: `grant_type`"),
        ({"grant_type": "password"}, "Unsupported grant type"),
        ({"grant_type": "authorization_code", "code": "x"}, "authorization_code has expired"),
    ],
)
def test_wrong_grants(main, form: dict[str, str], words: str) -> None:
    """Statement 2: what the token endpoint refuses it names."""
    refused = main.token(**form)
    assert refused.status_code == 400
    assert words in refused.text


def test_client_by_basic_only(own) -> None:
    """Statement 2: the app shows itself by Basic authentication, with a form, or not at all."""
    form = {"grant_type": "refresh_token", "refresh_token": own.access.refresh_token}
    app = {"client_id": credentials.CLIENT_ID, "client_secret": credentials.CLIENT_SECRET}
    url = f"{own.root}/oauth/token"
    in_form = requests.post(url, data=form | app, timeout=10)
    assert in_form.status_code == 401
    assert "Invalid client" in in_form.text
    as_json = requests.post(url, json=form, auth=tuple(app.values()), timeout=10)
    assert as_json.status_code == 400
    assert own.token(**form).status_code == 200


def test_authorization_code(own) -> None:
    """Statement 2: consent gives a code for five minutes, once, for the same callback."""
    query = {"client_id": credentials.CLIENT_ID, "state": "s1", "account": "second"}
    query["redirect_uri"] = "http://localhost:1717/OauthRedirect"

    def consent() -> str:
        url = f"{own.root}/oauth/authorize"
        sent = requests.get(url, params=query, allow_redirects=False, timeout=10)
        back = parse_qs(urlsplit(sent.headers["Location"]).query)
        assert back["state"] == ["s1"]
        return back["code"][0]

    form = {"grant_type": "authorization_code", "redirect_uri": query["redirect_uri"]}
    code = consent()
    answer = own.token(**form, code=code).json()
    assert own.token(**form, code=code).status_code == 400
    late = consent()
    own.sandbox.clock.advance(301)
    assert own.token(**form, code=late).status_code == 400
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    me = requests.get(f"{own.root}/v1/users/me", headers=headers, timeout=10).json()["data"]
    assert me["company_id"] == credentials.ACCOUNTS["second"].company_id


def test_access_token_ends(own) -> None:
    """Statement 2: an access token ends after its time, on order, or by a fault in the middle."""
    own.login()
    own.sandbox.clock.advance(3600)
    assert own.v2("/pipelines").status_code == 401
    own.truth.oauth.restore()
    own.login()
    own.sandbox.faults.order("expire_session", vendor="pipedrive", nth=2)
    assert [own.v2("/pipelines").status_code for _ in range(3)] == [200, 401, 401]
    own.truth.oauth.restore()
    own.login()
    assert own.admin("/pipedrive/expire_sessions", {}).json()["result"] == 1
    assert own.v2("/pipelines").status_code == 401


def test_restricted_user(own) -> None:
    """Statement 24: a user who sees less gets fewer rows, without an error."""
    colleague = as_colleague(own)
    everything, some = own.every("/persons"), colleague.every("/persons")
    user = own.truth.companies["main"].colleague
    wanted = {row["id"] for row in everything if row["visible_to"] >= 3 or row["owner_id"] == user}
    assert {row["id"] for row in some} == wanted
    assert 0 < len(some) < len(everything)
    hidden = next(row["id"] for row in everything if row["id"] not in wanted)
    assert colleague.v2(f"/persons/{hidden}").status_code == 404
    assert own.v2(f"/persons/{hidden}").status_code == 200
    colleague.close()


def test_shared_host(own) -> None:
    """On the shared host some v1 paths work without /api only."""

    def status(path: str) -> int:
        headers = {"Host": "api.pipedrive.com", "x-api-token": own.access.api_token}
        return requests.get(own.sandbox.url + path, headers=headers, timeout=10).status_code

    assert (status("/api/v1/leads"), status("/v1/leads")) == (404, 200)
    assert (status("/api/v1/leadLabels"), status("/api/v1/users")) == (404, 200)


def test_the_token_decides(own) -> None:
    """Each company answers its own tokens with its own records."""
    other = Client(own.sandbox, "second")
    assert own.data("/v1/users")[0]["id"] == own.truth.companies["main"].admin
    assert other.data("/v1/users")[0]["id"] == own.truth.companies["second"].admin
    other.close()


def test_admin_api(own) -> None:
    """The truth and the switches are there over HTTP; mistakes get a sentence."""
    count = own.admin("/pipedrive/count/persons").json()["count"]
    assert count == own.truth.count("persons") == len(own.every("/persons"))
    elsewhere = own.admin("/pipedrive/count/stages?account=second").json()["count"]
    assert elsewhere == own.truth.count("stages", account="second") != own.truth.count("stages")
    rows = own.admin("/pipedrive/rows/deals?limit=2").json()["rows"]
    assert len(rows) == 2
    assert own.admin("/pipedrive/objects").json()["leads"] == own.truth.count("leads")
    identities = own.admin("/pipedrive/identities/leads").json()["identities"]
    assert {"id", "person", "duplicate"} <= set(identities[0])
    assert own.admin("/pipedrive/fields/deals").json()["fields"][0]["type"]
    assert own.admin("/pipedrive/count/shoes").status_code == 400
    assert own.admin("/pipedrive/count/deals?account=third").status_code == 400
    assert own.admin("/pipedrive/set_limits", {"shoes": 1}).status_code == 400
    assert own.admin("/pipedrive/set_company", {"shoes": 1}).status_code == 400
    assert "known" in own.admin("/pipedrive/nonsense", {}).json()["error"]
