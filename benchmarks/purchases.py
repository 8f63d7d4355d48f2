"""Buying under `kill -9`: `python -m benchmarks.purchases --kills 200`; a part of `make campaign`.

Four processes buy the same persons from the emulated provider within one budget, and each is killed at a random moment,
again and again. Then one more run settles what is open. The provider's own ledger of charges is what counts.
"""

import argparse
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measuring import machine, table
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.providers import Person, as_enricher, opened_provider
from crm_pipeline.settings import Settings
from crm_pipeline.settings.enrichment import Enrichment
from crm_pipeline.stages.enriched import Bought, Candidate, buy, shop_of
from crm_pipeline.store.postgres.database import Database, running_database
from crm_pipeline.store.purchases import Budget, PurchaseLedger
from crm_pipeline_tests.providing import CONNECTIONS, MANY, START
from crm_sandbox import SandboxServer, VendorSandbox
from crm_sandbox.clock import SandboxClock

KILLS = 200
_PROCESSES = 4
_PEOPLE = 200
_LONGEST_S = 0.4


def report(kills: int = KILLS) -> str:
    """Return what was charged and settled after so many kills."""
    with _world() as (sandbox, settings):
        vendor = VendorSandbox(sandbox, "prospeo")
        wanted = [
            Candidate(Person(email=row["work_email"]), (f"acme:Contact:{row['id']}",))
            for row in vendor.rows("people")[:_PEOPLE]
        ]
        budget = len(wanted) * 3 // 4
        clock, chance = FrozenClock(START), random.Random(kills)
        killed = 0
        while killed < kills:
            killed += _killed(settings, wanted, budget, clock, chance)
            clock.advance(chance.choice([1, 1, 1, 601]))
        clock.advance(601)
        with running_database(settings) as database:
            last = _buy(settings, database, wanted, budget, clock, "last")
            answers = PurchaseLedger(database).answers()
        charged = Counter(entry["key"] for entry in vendor.rows("credits") if entry["cost"])
        rows = [
            ("persons wanted, and the budget", f"{len(wanted)}, {budget}"),
            ("processes killed", f"{killed}"),
            ("credits charged by the provider", f"{sum(charged.values())}"),
            ("persons charged twice", f"{sum(times > 1 for times in charged.values())}"),
            ("matches settled", f"{sum(answer.outcome == 'match' for answer in answers)}"),
            ("credits in our ledger", f"{sum(answer.cost for answer in answers)}"),
            (
                "answers with a masked value",
                f"{sum('*' in repr(answer.answer) for answer in answers)}",
            ),
            ("persons left for the next budget", f"{last.beyond_budget}"),
        ]
    return f"{table(('what', 'number'), rows)}\n\n{machine()}"


def _killed(
    settings: Settings,
    wanted: list[Candidate],
    budget: int,
    clock: FrozenClock,
    chance: random.Random,
) -> int:
    """Let four processes buy, and kill each at a random moment; return how many were still alive then."""
    children = []
    for _ in range(_PROCESSES):
        order = chance.sample(wanted, len(wanted))
        name = f"run {chance.random()}"
        child = os.fork()
        if child == 0:
            try:
                with running_database(settings) as database:
                    _buy(settings, database, order, budget, clock, name)
            finally:
                os._exit(0)
        children.append(child)
    alive = 0
    for child in children:
        time.sleep(chance.random() * _LONGEST_S / _PROCESSES)
        finished, _ = os.waitpid(child, os.WNOHANG)
        if not finished:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            alive += 1
    return alive


def _buy(
    settings: Settings,
    database: Database,
    wanted: list[Candidate],
    budget: int,
    clock: FrozenClock,
    run: str,
) -> Bought:
    with opened_provider(settings, "prospeo", database, clock=clock) as account:
        ledger = PurchaseLedger(database)
        shop = shop_of(settings, as_enricher(account), ledger, run, clock)
        return buy(replace(shop, budget=Budget(per_month=budget)), wanted)


@contextmanager
def _world() -> Iterator[tuple[SandboxServer, Settings]]:
    """Yield a running provider, and settings with an own PostgreSQL that has started."""
    now = FrozenClock(START).now()
    with (
        TemporaryDirectory(prefix="crm-") as folder,
        SandboxServer(
            contacts=2_000, seed=7, now=now, clock=SandboxClock(now), vendors=["prospeo", "hunter"]
        ) as sandbox,
    ):
        root = Path(folder)
        (root / "connections.yaml").write_text(CONNECTIONS.format(url=sandbox.url, many=MANY))
        vendor = VendorSandbox(sandbox, "prospeo")
        vendor.admin("set_limits", enrich=[MANY] * 3, search=[MANY] * 3)
        environ = {
            "CRM_DATA": str(root / "data"),
            "PROSPEO_KEY": vendor.credentials["api_key"],
            "HUNTER_KEY": VendorSandbox(sandbox, "hunter").credentials["api_key"],
        }
        settings = replace(load_settings(root, environ), enrichment=Enrichment(provider="prospeo"))
        with running_database(settings):
            yield sandbox, settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.purchases", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    print(report(parser.parse_args().kills))


if __name__ == "__main__":
    main()
