"""Pages of related lists; what stands in them is told in test_records."""

import pytest


def campaign_of(client, module: str, column: str) -> str:
    """The campaign with the most living members of a module."""
    sql = (
        f'SELECT m.campaign_id::VARCHAR FROM "Campaign_Members" m JOIN "{module}" t ON t.id = m.{column} '
        "WHERE t._ended IS NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    return client.zoho.org("main").tables.value(sql)


def test_pages(own_zoho) -> None:
    """By number as far as numbers reach, by token beyond; every member comes once."""
    campaign = campaign_of(own_zoho, "Contacts", "contact_id")
    path = f"/Campaigns/{campaign}/Contacts"
    whole = [one["id"] for one in own_zoho.data(f"{path}?fields=id")]
    assert len(whole) > 3
    own_zoho.admin("set_paging", by_number=2)
    found, params = [], {"fields": "id", "per_page": "1", "page": "1"}
    while params:
        body = own_zoho.get(path, params=params).json()
        found += [one["id"] for one in body["data"]]
        token = body["info"]["next_page_token"]
        assert (token is None) == (not body["info"]["more_records"])
        params = {"fields": "id", "per_page": "1", "page_token": token} if token else None
    assert found == whole
    third = own_zoho.get(path, params={"fields": "id", "per_page": "1", "page": "3"})
    assert own_zoho.refusal(third) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"page": "1"}, "AMBIGUITY_DURING_PROCESSING"),
        ({"fields": "id,Email"}, "TOKEN_BOUND_DATA_MISMATCH"),
        ({"page_token": "nonsense"}, "INVALID_DATA"),
    ],
)
def test_tokens_are_bound(shared_zoho, more: dict[str, str], code: str) -> None:
    """A token of a related list is refused as those of Get Records are."""
    path = f"/Campaigns/{campaign_of(shared_zoho, 'Contacts', 'contact_id')}/Contacts"
    params = {"fields": "id", "per_page": "1"}
    token = shared_zoho.get(path, params=params).json()["info"]["next_page_token"]
    answer = shared_zoho.get(path, params={**params, "page_token": token, **more})
    assert shared_zoho.refusal(answer) == (400, code)


def test_converted_leads(shared_zoho) -> None:
    """Members that were converted are left out unless they are asked for."""
    sql = (
        'SELECT m.campaign_id::VARCHAR, t.id::VARCHAR FROM "Campaign_Members" m '
        'JOIN "Leads" t ON t.id = m.lead_id WHERE t._ended IS NULL AND t."Converted__s" LIMIT 1'
    )
    org = shared_zoho.zoho.org("main")
    [(campaign, lead)] = org.tables.cursor().execute(sql).fetchall()
    found = {}
    for converted in ("", "false", "true", "both"):
        params = {"fields": "id"} | ({"converted": converted} if converted else {})
        response = shared_zoho.get(f"/Campaigns/{campaign}/Leads", params=params)
        found[converted] = (
            {one["id"] for one in response.json()["data"]} if response.content else set()
        )
    assert lead in found["true"]
    assert lead not in found[""]
    assert found[""] == found["false"]
    assert found["both"] == found["true"] | found["false"]
