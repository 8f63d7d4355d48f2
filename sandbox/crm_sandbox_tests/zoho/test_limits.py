import threading

import pytest

DAY_S = 86_400


def used(client) -> int:
    return client.zoho.apis["main"].meter.credits.used


@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/Contacts?fields=id", 1),
        ("/Contacts?fields=id&sort_by=Modified_Time", 1),
        ("/Contacts?fields=id&cvid={view}", 3),
        ("/Contacts/search?word=x", 1),
        ("/Contacts/actions/count", 1),
        ("/settings/modules", 1),
        ("/org", 1),
        ("/users", 1),
    ],
)
def test_prices_of_reading(shared_zoho, path: str, cost: int) -> None:
    """Statement 17: most calls cost one credit, a listing by custom view three."""
    view = shared_zoho.get("/settings/custom_views?module=Contacts").json()["custom_views"][0]["id"]
    before = used(shared_zoho)
    shared_zoho.get(path.format(view=view))
    assert used(shared_zoho) - before == cost


def test_price_of_a_bulk_read(own_zoho) -> None:
    """Statement 17: to begin a bulk read costs 50 credits."""
    before = used(own_zoho)
    body = {"query": {"module": {"api_name": "Contacts"}}}
    own_zoho.http.post(f"{own_zoho.root}/crm/bulk/v8/read", json=body)
    assert used(own_zoho) - before == 50


def test_credits_by_edition(zoho) -> None:
    """Statement 17: an Enterprise edition has 50,000 credits and 1,000 for each user."""
    users = zoho.get("/org").json()["org"][0]["license_details"]["users_license_purchased"]
    assert zoho.zoho.apis["main"].meter.credits.calls == 50_000 + 1_000 * users


def test_header_from_half_on(own_zoho) -> None:
    """Statement 17: X-API-CREDITS-REMAINING comes only once half of the credits are used."""
    own_zoho.admin("set_credits", total=10, used=0)
    seen = [
        own_zoho.get("/Contacts?fields=id").headers.get("X-API-CREDITS-REMAINING")
        for _ in range(10)
    ]
    assert seen == [None, None, None, None, "5", "4", "3", "2", "1", "0"]


def test_exhaustion(own_zoho) -> None:
    """Statement 17: without credits every call is 429 TOO_MANY_REQUESTS, without Retry-After."""
    own_zoho.admin("set_credits", total=5, used=5)
    for path in ("/Contacts?fields=id", "/org", "/settings/modules"):
        response = own_zoho.get(path)
        assert own_zoho.refusal(response) == (429, "TOO_MANY_REQUESTS")
        assert response.headers["X-API-CREDITS-REMAINING"] == "0"
        assert not [name for name in response.headers if "retry" in name.lower()]
        assert not [name for name in response.headers if "ratelimit" in name.lower()]
    assert (
        own_zoho.refusal(own_zoho.query("select id from Contacts where id is not null"))[0] == 429
    )


def test_credits_roll_over(own_zoho) -> None:
    """Statement 17: what was spent counts for 24 hours from the call."""
    own_zoho.admin("set_credits", total=2, used=0)
    assert own_zoho.get("/org").status_code == 200
    own_zoho.advance(1800)
    assert own_zoho.get("/org").status_code == 200
    assert own_zoho.get("/org").status_code == 429
    own_zoho.advance(DAY_S - 1801)
    own_zoho.login()
    assert own_zoho.get("/org").status_code == 429
    own_zoho.advance(1)
    assert own_zoho.get("/org").status_code == 200
    assert own_zoho.get("/org").status_code == 429
    own_zoho.advance(1800)
    own_zoho.login()
    assert own_zoho.get("/org").status_code == 200


def test_credits_are_the_orgs_own(own_zoho) -> None:
    """One org's credits are not another's."""
    own_zoho.admin("set_credits", total=1, used=1)
    assert own_zoho.get("/org").status_code == 429
    token = own_zoho.zoho.grants.issue("second", ["ZohoCRM.org.READ"]).token
    own_zoho.http.headers["Authorization"] = f"Bearer {token}"
    assert own_zoho.get("/org").status_code == 200


@pytest.mark.parametrize(
    ("total", "heavy", "light_path", "heavy_path"),
    [(2, 10, 429, 429), (20, 2, 200, 429), (20, 10, 200, 200)],
)
def test_concurrency(own_zoho, total: int, heavy: int, light_path: int, heavy_path: int) -> None:
    """Statement 18: too many calls at once, or too many heavy ones, are 429 with the same code."""
    own_zoho.get("/org")
    own_zoho.admin("set_concurrency", total=total, heavy=heavy)
    meter, inside, release = own_zoho.zoho.apis["main"].meter, [], threading.Event()
    entered = threading.Semaphore(0)

    def hold() -> None:
        with meter.under_way(heavy=True):
            inside.append(1)
            entered.release()
            release.wait(20)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=20)
    light = own_zoho.get("/Contacts?fields=id")
    weighty = own_zoho.get("/Contacts?fields=id&sort_by=Modified_Time")
    query = own_zoho.query("select id from Contacts where id is not null")
    search = own_zoho.get("/Contacts/search?word=a")
    release.set()
    for thread in threads:
        thread.join()
    assert light.status_code == light_path
    assert {one.status_code for one in (weighty, query, search)} == {heavy_path}
    for response in (light, weighty, query, search):
        if response.status_code == 429:
            assert response.json()["code"] == "TOO_MANY_REQUESTS"
    assert own_zoho.get("/Contacts?fields=id&sort_by=Modified_Time").status_code == 200


def test_published_concurrency(zoho) -> None:
    """Statement 18: an Enterprise edition has 20 calls at once, 10 of them heavy."""
    meter = zoho.zoho.apis["main"].meter
    assert (meter.at_once.calls, meter.heavy_at_once.calls) == (20, 10)
