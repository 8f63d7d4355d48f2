import pytest

from crm_sandbox_tests.contracts import validate

BASE = "/communication-preferences/v4"
FILE = "communication-preferences.v4.json"


@pytest.fixture
def person(own) -> tuple[str, str]:
    made = own.create("contacts", email="ada@example.org").json()["id"]
    return "ada@example.org", made


def choice(**more) -> dict:
    return {"subscriptionId": 170_001, "statusState": "SUBSCRIBED", "channel": "EMAIL", **more}


def optout(own, record: str) -> dict:
    names = "hs_email_optout,hs_email_optout_170001,hs_email_optout_170003"
    row = own.get(f"/crm/v3/objects/contacts/{record}", properties=names).json()
    return {name: row["properties"][name] for name in names.split(",")}


def test_definitions(hubspot) -> None:
    """The kinds of mail are listed as the vendor describes them."""
    body = hubspot.get(f"{BASE}/definitions").json()
    validate("hubspot", FILE, "GET", f"{BASE}/definitions", 200, body, closed=True)
    assert [row["id"] for row in body["results"]] == ["170001", "170002", "170003"]


def test_choosing(own, person) -> None:
    """Statement 27: a choice is written and read, and says what happened."""
    email, record = person
    path = f"{BASE}/statuses/{email}"
    states = {row["status"] for row in own.get(path, channel="EMAIL").json()["results"]}
    assert states == {"NOT_SPECIFIED"}
    answer = own.post(path, choice()).json()
    template = f"{BASE}/statuses/{{subscriberIdString}}"
    validate("hubspot", FILE, "POST", template, 200, answer, closed=True)
    assert answer["results"][0]["setStatusSuccessReason"] == "REQUESTED_CHANGE_OCCURRED"
    again = own.post(path, choice()).json()["results"][0]
    assert again["setStatusSuccessReason"] == "NO_STATUS_CHANGE"
    own.post(path, choice(statusState="UNSUBSCRIBED"))
    assert optout(own, record)["hs_email_optout_170001"] == "true"
    assert own.post(path, choice()).status_code == 400
    reason = {"legalBasis": "CONSENT_WITH_NOTICE", "legalBasisExplanation": "asked for it"}
    back = own.post(path, choice(**reason)).json()["results"][0]
    assert back["setStatusSuccessReason"] == "RESUBSCRIBE_OCCURRED"
    assert own.get(path).status_code == 400


def test_each_kind_of_mail_has_a_property(own, person) -> None:
    """Who leaves one kind of mail has that kind's property, and no other."""
    email, record = person
    own.post(f"{BASE}/statuses/{email}", choice(subscriptionId=170_003, statusState="UNSUBSCRIBED"))
    assert optout(own, record) == {
        "hs_email_optout": None,
        "hs_email_optout_170001": None,
        "hs_email_optout_170003": "true",
    }


def test_leaving_everything(own, person) -> None:
    """Statement 27: unsubscribe-all sets hs_email_optout and tells of the change."""
    events: list[dict] = []
    own.truth.api().portal.events.listen(events.append)
    email, record = person
    path = f"{BASE}/statuses/{email}/unsubscribe-all"
    assert own.get(path, channel="EMAIL").json()["results"] == []
    answer = own.post(f"{path}?channel=EMAIL").json()
    template = f"{BASE}/statuses/{{subscriberIdString}}/unsubscribe-all"
    validate("hubspot", FILE, "POST", template, 200, answer, closed=True)
    assert set(optout(own, record).values()) == {"true"}
    changed = [e for e in events if e.get("propertyName") == "hs_email_optout"]
    assert [(e["kind"], e["propertyValue"]) for e in changed] == [("propertyChange", "true")]
    wide = own.get(path, channel="EMAIL").json()
    validate("hubspot", FILE, "GET", template, 200, wide, closed=True)
    assert wide["results"][0]["wideStatusType"] == "PORTAL_WIDE"


def test_privacy_settings(own, person) -> None:
    """Statement 27: with privacy settings on, a choice without a legal basis answers 400."""
    own.admin("/hubspot/set", {"data_privacy": True})
    path = f"{BASE}/statuses/{person[0]}"
    assert own.post(path, choice()).status_code == 400
    reason = {"legalBasis": "LEGITIMATE_INTEREST_CLIENT", "legalBasisExplanation": "a customer"}
    assert own.post(path, choice(**reason)).status_code == 200


def test_who_opted_out_before(hubspot) -> None:
    """A contact of the population who opted out is unsubscribed from everything."""
    rows = [r for r in hubspot.truth.rows("contacts") if r["email"] and "@" in r["email"]]
    email = next(row["email"] for row in rows if row["hs_email_optout"] == "true")
    found = hubspot.get(f"{BASE}/statuses/{email}/unsubscribe-all", channel="EMAIL").json()
    assert found["results"][0]["status"] == "UNSUBSCRIBED"


def test_batches(own, person) -> None:
    """Many are read, written and taken out at once."""
    email = person[0]
    written = own.post(
        f"{BASE}/statuses/batch/write", {"inputs": [choice(subscriberIdString=email)]}
    )
    validate(
        "hubspot", FILE, "POST", f"{BASE}/statuses/batch/write", 200, written.json(), closed=True
    )
    read = own.post(f"{BASE}/statuses/batch/read?channel=EMAIL", {"inputs": [email]}).json()
    validate("hubspot", FILE, "POST", f"{BASE}/statuses/batch/read", 200, read, closed=True)
    assert read["results"][0]["statuses"][0]["status"] == "SUBSCRIBED"
    own.post(f"{BASE}/statuses/batch/unsubscribe-all?channel=EMAIL", {"inputs": [email]})
    assert optout(own, person[1])["hs_email_optout"] == "true"


@pytest.mark.parametrize(
    "more",
    [
        {"statusState": "MAYBE"},
        {"legalBasis": "WHIM"},
        {"channel": "PIGEON"},
        {"subscriptionId": 1},
    ],
)
def test_bad_choices(own, person, more: dict) -> None:
    """A choice that cannot be meant is refused."""
    assert own.post(f"{BASE}/statuses/{person[0]}", choice(**more)).status_code in {400, 404}
