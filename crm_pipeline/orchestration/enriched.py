"""Enriched assets: who is wanted and what was bought, both built by one step of `stages.enriched`, which may buy first."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from crm_pipeline.model.enriched_tables import ENRICHMENT_WANTED, ENRICHMENTS
from crm_pipeline.model.stages import ENRICHED
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.orchestration.failures import GENTLE, as_failure
from crm_pipeline.orchestration.names import Names
from crm_pipeline.orchestration.normalized import normalized_tables
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.orchestration.stages import stage_specs, version_of
from crm_pipeline.providers import as_enricher, opened_provider
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.enriched import (
    Bought,
    Enriched,
    Outlook,
    candidates,
    enrich_tables,
    outlook,
    shop_of,
)
from crm_pipeline.store.postgres.database import running_database
from crm_pipeline.store.purchases import PurchaseLedger, Spending

STEP = "enrich_persons"
BUDGET = "budget"
PURCHASES = ("persons_asked_about", "matches", "credits_spent", "beyond_budget")
"""The numbers of a run that bought."""


class Purchases(dg.Config):
    """Whether a run of the stage may buy."""

    buy: bool = Field(
        default=False,
        description="Buy facts about the wanted persons first, within the budgets. Otherwise the tables only take over "
        "what was bought.",
    )


def enriched_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    """Return the step of the stage: one asset per table."""
    connections = list(settings.connections.values())
    enrichments = names.stage(ENRICHED.name, ENRICHMENTS.name)

    @dg.multi_asset(
        name=names.step(STEP),
        specs=stage_specs(ENRICHED, settings, enrich_tables, names),
        check_specs=[
            dg.AssetCheckSpec(
                BUDGET,
                asset=enrichments,
                description="Everybody who is wanted was asked about, or there is budget left for it.",
            )
        ],
        description=ENRICHED.description,
        pool=names.build_pool,
        required_resource_keys={names.resource},
        retry_policy=GENTLE,
    )
    def built(
        context: dg.AssetExecutionContext, config: Purchases
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        crm = workspace_of(context.resources, names)
        crm.progress("enrich")(0, None)
        tables, bought, spent = _wanted(connections), None, None
        with as_failure(context.log.error):
            done = _build(crm, tables)
            if config.buy and done.wanted:
                bought, spent = crm.buy(context.run.run_id, done)
                done = _build(crm, tables)
        if bought is not None and bought.stopped:
            context.log.warning("Buying stopped: %s.", bought.stopped)
        yield dg.MaterializeResult(
            asset_key=names.stage(ENRICHED.name, ENRICHMENT_WANTED.name),
            metadata={"dagster/row_count": done.wanted, "changed": done.changed},
            data_version=version_of(done.versions.get(ENRICHMENT_WANTED.name)),
        )
        yield dg.MaterializeResult(
            asset_key=enrichments,
            metadata={
                "dagster/row_count": done.rows(ENRICHMENTS.name),
                "changed": done.changed,
                **_of_purchases(bought, spent),
            },
            data_version=version_of(done.versions.get(ENRICHMENTS.name)),
        )
        yield _budget(enrichments, bought)

    return [built]


def _build(crm: Workspace, names: set[str]) -> Enriched:
    if not crm.settings.enrichment.provider and not crm.has_bought:
        return Enriched()
    with crm.ledger() as ledger, crm.engine() as engine:
        return enrich_tables(
            crm.tables,
            engine,
            ledger,
            crm.settings.enrichment,
            names=names,
            now=crm.clock.now(),
        )


def outlook_of(crm: Workspace) -> Outlook:
    """Bring the tables up to date, and return what buying would do now; nothing is asked of the provider.

    Raises:
        ConfigError: the provider sells no facts.
    """
    done = _build(crm, _wanted(list(crm.settings.connections.values())))
    choices, now = crm.settings.enrichment, crm.clock.now()
    with (
        running_database(crm.settings) as database,
        opened_provider(crm.settings, choices.provider, database, clock=crm.clock) as account,
        crm.engine() as engine,
    ):
        shop = shop_of(
            crm.settings, as_enricher(account), PurchaseLedger(database), "plan", crm.clock
        )
        wanted = done.versions.get(ENRICHMENT_WANTED.name)
        return outlook(shop, candidates(engine, wanted) if wanted else (), now)


def _of_purchases(bought: Bought | None, spent: Spending | None) -> dict[str, Any]:
    """Return the numbers of a run that bought, for Dagster to plot."""
    if bought is None or spent is None:
        return {}
    rate = bought.match_rate
    return {
        "persons_asked_about": bought.asked,
        "matches": bought.outcomes["match"],
        "credits_spent": bought.cost,
        "credits_spent_today": spent.day,
        "credits_spent_this_month": spent.month,
        "beyond_budget": bought.beyond_budget,
        "credits_unexplained": bought.unexplained,
        **({} if rate is None else {"match_rate": round(rate, 4)}),
    }


def _budget(key: dg.AssetKey, bought: Bought | None) -> dg.AssetCheckResult:
    waiting = bought.beyond_budget if bought else 0
    underway = bought.underway if bought else 0
    stopped = bought.stopped if bought else ""
    if stopped:
        text = f"{stopped}."
    elif underway:
        text = (
            f"{underway:,} persons are asked about by another run, or were by one that ended early: "
            "a run in ten minutes brings their answers."
        )
    else:
        text = f"{waiting:,} persons wait for the next budget."
    unexplained = bought.unexplained if bought else 0
    if unexplained:
        text += (
            f" The account lost {unexplained:,} credits more than its answers name: they count against the budget. "
            "Prices may have changed, or others may use the account: compare the provider's statement."
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=BUDGET,
        passed=not (waiting or underway or stopped or unexplained),
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata={"persons_waiting": waiting, "persons_underway": underway},
    )


def _wanted(connections: Sequence[Connection]) -> set[str]:
    return {
        normalized_name(connection.name, table)
        for connection in connections
        for table in normalized_tables(connection)
        if table in ENRICHED.reads
    }
