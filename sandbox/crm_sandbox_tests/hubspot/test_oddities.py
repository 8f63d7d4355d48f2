def test_a_page_that_leads_to_itself(own) -> None:
    """On order the next page is the one that was asked for, in lists and in searches."""
    own.admin("/hubspot/repeat_cursor", {"path": "objects/contacts", "times": 2})
    after = own.first(number=10)
    page = own.get("/crm/v3/objects/contacts", after=after).json()
    assert page["paging"]["next"]["after"] == after
    assert own.search("contacts", after="10").json()["paging"]["next"]["after"] == "10"
    page = own.get("/crm/v3/objects/contacts", after=after).json()
    assert page["paging"]["next"]["after"] != after


def test_an_idle_write(own) -> None:
    """On order a change answers 200 and changes nothing, neither value nor stamp."""
    path = f"/crm/v3/objects/contacts/{own.first()}"
    before = own.get(path, properties="city").json()
    own.admin("/hubspot/ignore_writes", {"times": 1})
    assert own.patch(path, city="Ulm").status_code == 200
    assert own.get(path, properties="city").json() == before
    assert own.patch(path, city="Ulm").json()["properties"]["city"] == "Ulm"


def test_hidden_records(own) -> None:
    """On order records are counted and shown nowhere."""
    record = own.first(number=3)
    total = own.search("contacts").json()["total"]
    own.admin("/hubspot/hide_records", {"name": "contacts", "records": [record]})
    assert record not in {row["id"] for row in own.every("contacts")}
    assert own.search("contacts", limit=200).json()["total"] == total
    assert own.batch("contacts", "read", [{"id": record}]).json()["results"] == []
    own.admin("/hubspot/hide_records", {"name": "contacts", "records": []})
    assert record in {row["id"] for row in own.every("contacts")}
