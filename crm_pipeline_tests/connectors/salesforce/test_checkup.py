"""What `check` finds out about an org."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crm_pipeline.connectors.base import Finding
from crm_pipeline_tests.harness import Harness


def check(harness: Harness) -> dict[str, Finding]:
    with harness.account() as account:
        return {finding.topic: finding for finding in account.check().findings}


def test_a_healthy_org_passes_everything(harness: Harness) -> None:
    """Login, version, identity, permissions, budget and objects are each said to be good."""
    found = check(harness)
    assert {finding.level for finding in found.values()} == {"ok"}
    assert set(found) == {
        *("login", "version", "identity", "permissions", "budget", "objects", "clock")
    }
    assert "user0@sandbox.example" in found["identity"].detail


def test_missing_permission_is_named(harness: Harness) -> None:
    """An API user that sees only its own records fails the check, with the permission to grant."""
    [row] = harness.org.rows("UserPermissionAccess")
    harness.org.edit("UserPermissionAccess", row["Id"], PermissionsViewAllData=False)
    finding = check(harness)["permissions"]
    assert finding.level == "fail"
    assert "ViewAllData" in finding.detail
    assert "permission set" in finding.cure


def test_unreadable_permissions_are_a_warning(harness: Harness) -> None:
    """Where the org does not tell permissions, that is said and nothing is claimed."""
    harness.org.hide_object("UserPermissionAccess")
    assert check(harness)["permissions"].level == "warn"


def test_hidden_object_is_named(harness: Harness) -> None:
    """An object of connections.yaml that the login cannot see fails by name; the others pass."""
    harness.org.hide_object("Contact")
    found = check(harness)
    assert "Contact" in found["object"].detail
    assert found["objects"].detail == "5 of 6 readable"


def test_spent_budget_fails(harness: Harness) -> None:
    """A budget at our share fails the check, with the numbers."""
    harness.org.set_daily_limit(maximum=1000, used=950)
    finding = check(harness)["budget"]
    assert finding.level == "fail"
    assert "950" in finding.detail or "95" in finding.detail


@pytest.mark.parametrize("cause", ["secret", "host", "down"])
def test_without_a_login_there_is_one_finding(harness: Harness, cause: str) -> None:
    """Wrong credentials and an unreachable host end the check at once, with what to do."""
    with broken(harness, cause):
        found = check(harness)
    [finding] = found.values()
    assert (finding.topic, finding.level) == ("login", "fail")
    assert finding.cure


@contextmanager
def broken(harness: Harness, cause: str) -> Iterator[None]:
    if cause == "secret":
        harness.settings.environ["DEMO_CLIENT_SECRET"] = "wrong"  # type: ignore[index]
    elif cause == "host":
        harness.sandbox.stop()
    else:
        check(harness)  # the token is stored now
        harness.sandbox.stop()
    yield


def test_retired_version_is_refused_with_those_that_work(harness: Harness) -> None:
    """A pinned version that the org does not offer names those that it does."""
    text = harness.settings.file.read_text().replace("start:", 'api_version: "30.0"\n    start:')
    harness.settings.file.write_text(text)
    from crm_pipeline.configuration import load_settings

    harness.settings = load_settings(harness.settings.root, harness.settings.environ)
    finding = check(harness)["version"]
    assert finding.level == "fail"
    assert "68.0" in finding.cure


@pytest.mark.parametrize(
    ("objects", "level", "cure"),
    [
        ("[]", "warn", "discover demo --write"),
        ("[Acount, User]", "fail", "Did you mean 'Account'?"),
    ],
)
def test_objects_that_are_not_named_well(
    harness: Harness, objects: str, level: str, cure: str
) -> None:
    """No objects yet is a step to take, not a failure; a typo is answered with what was meant."""
    from crm_pipeline.configuration import load_settings

    text = harness.settings.file.read_text()
    head = text[: text.index("    objects:")]
    harness.settings.file.write_text(f"{head}    objects: {objects}\n")
    harness.settings = load_settings(harness.settings.root, harness.settings.environ)
    found = check(harness)
    finding = found.get("object", found["objects"])
    assert finding.level == level
    assert cure in finding.cure
