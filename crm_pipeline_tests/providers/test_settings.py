"""The key `providers` of connections.yaml, and the package's face."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import crm_pipeline.providers
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.providers import budget_limits, provider_type
from crm_pipeline.providers.budgets import Rates
from crm_pipeline.providers.facts import provider_facts
from crm_pipeline.settings import Budget, Settings

WHOLE = """
connections: {}
providers:
  people:
    type: prospeo
    key_env: PROSPEO_API_KEY
    plan: pro
    share: 0.5
    limits: {enrich_day: 7000}
    budget: {run: 50, day: null, month: 900}
    renews_on: 31
    price: {month: 99, credits: 2000, currency: EUR}
  addresses: {type: hunter, key_env: HUNTER_API_KEY}
"""


def load(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "connections.yaml").write_text(text)
    return load_settings(folder, environ)


def test_every_key_arrives(tmp_path: Path) -> None:
    """What is written is there, and what is not is as documented: the smallest plan, small budgets."""
    settings = load(tmp_path, WHOLE, PROSPEO_API_KEY="k")
    people, addresses = settings.provider("people"), settings.provider("addresses")
    assert people.base_url == "https://api.prospeo.io"
    assert people.limits["enrich_day"] == 7_000
    assert people.limits["enrich_second"] == 30
    assert people.budget == Budget(50, None, 900)
    assert people.price is not None
    assert people.price.per_credit == Decimal("0.0495")
    assert settings.provider_key(people).reveal() == "k"
    assert (addresses.plan, addresses.unit) == ("all", "verifications")
    assert addresses.budget == Budget(100, 500, 2_000)
    month = budget_limits(people)[-1]
    assert (month.kind, month.calls, month.renews_on) == ("monthly", 900, 31)
    assert len(budget_limits(people)) == 1
    shares = {limit.name: limit.calls for limit in Rates(people).limits("enrich")}
    assert shares == {"enrich_second": 15, "enrich_minute": 900, "enrich_day": 3_500}


def test_none_is_needed(tmp_path: Path) -> None:
    """A file without providers has none; an empty key neither."""
    assert load(tmp_path, "connections: {}\n").providers == {}
    assert load(tmp_path, "connections: {}\nproviders:\n").providers == {}
    with pytest.raises(UnknownName, match="unknown provider 'x'"):
        load(tmp_path, "connections: {}\n").provider("x")


def test_the_sandbox_port_is_replaced(tmp_path: Path) -> None:
    """CRM_SANDBOX_PORT moves providers as it moves connections."""
    text = "connections: {}\nproviders: {p: {type: prospeo, key_env: K, sandbox: true, "
    text += "base_url: 'http://127.0.0.1:8765/prospeo/'}}\n"
    moved = load(tmp_path, text, CRM_SANDBOX_PORT="9000").provider("p")
    assert moved.base_url == "http://127.0.0.1:9000/prospeo"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "{type: prospero, key_env: K}",
            "(providers.p.type); known: hunter, prospeo. Did you mean",
        ),
        ("{type: prospeo}", "providers.p.key_env is missing"),
        ("{type: prospeo, key_env: sk-12345}", "is not the name of an environment variable"),
        ("{type: prospeo, key_env: K, plan: gold}", "unknown plan 'gold'"),
        ("{type: prospeo, key_env: K, limits: {enrich: 5}}", "unknown limit 'enrich'"),
        ("{type: prospeo, key_env: K, budgets: {day: 5}}", "Did you mean 'budget'?"),
        ("{type: prospeo, key_env: K, budget: {dya: 5}}", "Did you mean 'day'?"),
        ("{type: prospeo, key_env: K, budget: {day: 0}}", "providers.p.budget.day"),
        ("{type: prospeo, key_env: K, renews_on: 32}", "providers.p.renews_on"),
        ("{type: prospeo, key_env: K, price: {month: 9}}", "providers.p.price.credits is missing"),
        ("{type: prospeo, key_env: K, base_url: 'http://api.example'}", "is plain http"),
        ("{type: prospeo, key_env: K, base_url: 'https://a:b@c.example'}", "more than an address"),
        ("{type: prospeo, key_env: K, base_url: nowhere}", "is no web address"),
        ("{type: prospeo, key_env: K, sandbox: true}", "is the sandbox and has no address"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, entry: str, words: str) -> None:
    """File, line and key are named, with what may stand there."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"connections: {{}}\nproviders:\n  p: {entry}\n")
    text = str(caught.value)
    assert words in text
    assert "connections.yaml:3" in text
    assert "sk-12345" not in text


def test_names(tmp_path: Path) -> None:
    """The name of a provider stands in tables: it is a plain word."""
    with pytest.raises(ConfigError, match="is no name for a provider"):
        load(tmp_path, "connections: {}\nproviders: {'My Prospeo': {type: prospeo, key_env: K}}\n")


def test_every_type_opens() -> None:
    """Each folder exports its type, and says what its limits are for each plan."""
    assert list(provider_facts()) == ["hunter", "prospeo"]
    for name, facts in provider_facts().items():
        assert provider_type(name).type == name
        assert facts.plan in facts.plans
        assert len({frozenset(limits) for limits in facts.plans.values()}) == 1
        for limits in facts.plans.values():
            assert {limit.rpartition("_")[2] for limit in limits} <= {"second", "minute", "day"}


def test_the_face() -> None:
    """What the face lists can be had, and nothing that takes long is loaded before it is asked for."""
    assert all(getattr(crm_pipeline.providers, name) for name in crm_pipeline.providers.__all__)
    heavy = "{'requests', 'msgspec', 'pyarrow', 'numpy', 'psycopg2'}"
    code = f"import sys, crm_pipeline.providers.facts; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
