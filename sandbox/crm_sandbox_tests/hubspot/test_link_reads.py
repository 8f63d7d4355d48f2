"""Associations of many records at once."""

from datetime import UTC, datetime

import requests

from crm_sandbox import SandboxServer
from crm_sandbox.hubspot.credentials import MAIN


def test_the_first_answer_has_the_links_too() -> None:
    """A batch finds what single questions find, even when nothing was asked before."""
    headers = {"Authorization": f"Bearer {MAIN.token}"}
    with SandboxServer(
        contacts=60, now=datetime(2026, 11, 1, tzinfo=UTC), vendors=("hubspot",)
    ) as server:
        base = f"{server.url}/hubspot/crm"
        listed = requests.get(f"{base}/v3/objects/deals", headers=headers, params={"limit": "20"})
        ids = [one["id"] for one in listed.json()["results"]]
        found = requests.post(
            f"{base}/v4/associations/deals/contacts/batch/read",
            headers=headers,
            json={"inputs": [{"id": one} for one in ids]},
        ).json()
        single = f"{base}/v4/objects/deals/{{}}/associations/contacts"
        apart = {
            one: requests.get(single.format(one), headers=headers).json()["results"] for one in ids
        }
    together = {one["from"]["id"]: one["to"] for one in found["results"]}
    assert together == {one: links for one, links in apart.items() if links}
    assert together
