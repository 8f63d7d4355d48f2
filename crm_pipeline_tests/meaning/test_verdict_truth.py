"""Verdicts against what the sandbox's world knows: which addresses are good, and which domains are dead.

The whole table stands in docs/benchmarks.md; `make campaign ARGS='--only Verification'` makes it.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from crm_pipeline_tests.meaning.facts import Table
from crm_pipeline_tests.meaning.prepared import NOW, Prepared, kept
from crm_pipeline_tests.meaning.verdict_faults import stage_tables, tables_again
from crm_sandbox.dns import DnsServer, dead_domains, zone_of
from crm_sandbox.world import World

CRMS = ("salesforce", "hubspot", "pipedrive", "zoho")
SEED, CONTACTS = 13, 200
"""Those of the prepared world."""


@pytest.fixture(scope="module")
def people() -> World:
    """The world behind the prepared accounts."""
    return World(SEED, CONTACTS, datetime.fromisoformat(NOW).replace(tzinfo=None))


@pytest.fixture(scope="module")
def truth(people: World) -> dict[str, str]:
    """What the world knows about each address; capitals do not matter."""
    companies = people.companies()
    cards = [
        card
        for crm in CRMS
        for made in (people.contact_cards, people.lead_cards)
        for card in made(crm, companies).select(["email", "email_verdict"]).to_pylist()
    ]
    return {card["email"].lower(): card["email_verdict"] for card in cards if card["email"]}


def verdicts_of(stage: Table, truth: dict[str, str]) -> Counter[tuple[str, str]]:
    """Return how often which verdict met which truth, one for each address of a record."""
    points = [row for row in stage.values() if row["kind"] == "email" and row["is_primary"]]
    people = [row for row in points if row["table_name"] in {"contacts", "leads"}]
    known = [row for row in people if row["value"].lower() in truth]
    # The others were planted, or are further addresses of HubSpot.
    assert len(known) > 0.85 * len(people)
    return Counter((truth[row["value"].lower()], row["verdict"]) for row in known)


def test_no_good_address_is_undeliverable(world: Prepared, truth: dict[str, str]) -> None:
    """Offline, good addresses have nothing against them, and what somebody made up does."""
    counts = verdicts_of(stage_tables(world.workspace.tables)["contact_points"], truth)
    assert {verdict for known, verdict in counts if known == "valid"} == {"unknown"}
    bad = {"placeholder", "disposable", "role"}
    assert {verdict for known, verdict in counts if known in bad} == {"risky"}
    assert counts["typo", "undeliverable"] + counts["typo", "risky"] > 2 * counts["typo", "unknown"]


def test_dns_finds_the_dead_domains(
    world: Prepared,
    people: World,
    truth: dict[str, str],
    fresh_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With DNS switched on in connections.yaml at least 98 % of the dead domains are found, and no good one."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    root = tmp_path / "asked"
    tables_again(world, root)
    chosen = yaml.safe_load((root / "connections.yaml").read_text())
    with DnsServer(zone_of(people)) as server:
        chosen["verification"] |= {"dns": True, "resolver": server.resolver}
        (root / "connections.yaml").write_text(yaml.safe_dump(chosen))
        asked = kept(root, world.answers.logins, fresh_url)
        done = asked.verify()
    assert done.changed
    stage = stage_tables(asked.workspace.tables)
    counts = verdicts_of(stage["contact_points"], truth)
    assert {verdict for known, verdict in counts if known == "valid"} == {"unknown"}
    assert {verdict for known, verdict in counts if known == "placeholder"} == {"undeliverable"}
    judged = list(stage["email_verdicts"].values())
    assert {row["method"] for row in judged if row["domain"]} == {"dns"}
    dead = {row["domain"] for row in judged} & dead_domains()
    refused = {row["domain"] for row in judged if row["verdict"] == "undeliverable"} & dead
    assert len(dead) > 10
    assert len(refused) >= 0.98 * len(dead)
