from __future__ import annotations

import requests

from crm_sandbox import SandboxServer


def test_a_failure_of_the_sandbox_is_kept(monkeypatch) -> None:
    """An exception of the sandbox answers 500 and stands in the journal with its place; a fault does not."""
    with SandboxServer(contacts=60, vendors=("pipedrive",)) as running:
        url = f"{running.url}/pipedrive/v1/users"
        running.faults.order("status", status=500)
        assert requests.get(url, timeout=10).status_code == 500
        assert running.journal.failures() == []
        # Planted: the vendor's code raises.
        monkeypatch.delattr(running.emulations["pipedrive"], "oauth")
        response = requests.get(url, headers={"Authorization": "Bearer x"}, timeout=10)
        assert (response.status_code, "AttributeError" in response.text) == (500, True)
        [entry] = running.journal.failures()
        assert entry.path == "/v1/users"
        assert entry.error.startswith("AttributeError at pipedrive/emulation.py:")
        shown = requests.get(f"{running.url}/_admin/journal", timeout=10).json()["entries"]
        assert [one["error"] for one in shown] == ["", entry.error]
        running.journal.clear()
        assert running.journal.failures() == []
