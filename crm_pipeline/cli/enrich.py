"""`enrich` and `credits`: what would be bought, buying it, and how the providers' accounts stand."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.interruption import interruptible
from crm_pipeline.cli.progress import progress
from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.settings import Settings
    from crm_pipeline.stages.enriched import Outlook

JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


def enrich(
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be bought, and buy nothing; the default.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Buy within the provider's budgets, and publish.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which facts about persons would be bought, and for how much; with --apply, buy them.

    Who is wanted is chosen under `enrichment` in connections.yaml. A person is bought once for all CRMs, nobody who
    opted out or was erased is asked about, and the budgets of the provider hold for all runs together.

    For instance:

      crm-pipeline enrich --plan
      crm-pipeline enrich --apply
    """
    from crm_pipeline.cli.workspace import load_settings

    if plan and apply:
        raise ConfigError("--plan and --apply exclude each other.", cure="Leave one of them out.")
    settings = load_settings()
    if not settings.enrichment.provider:
        raise ConfigError(
            "connections.yaml names no provider to buy from.",
            cure="Add 'enrichment: {provider: NAME}' with a NAME under `providers`; docs/connections.md describes both.",
        )
    if apply:
        _apply(settings, as_json=as_json)
        return
    _show(_outlook(settings), as_json=as_json)


def _outlook(settings: "Settings") -> "Outlook":
    from crm_pipeline.cli.workspace import ready_data
    from crm_pipeline.orchestration.enriched import outlook_of
    from crm_pipeline.orchestration.resources import Workspace

    ready_data(settings)
    return outlook_of(Workspace(settings))


def _show(outlook: "Outlook", *, as_json: bool) -> None:
    from dataclasses import asdict

    from crm_pipeline.cli.console import emit_json, output

    if as_json:
        emit_json({**asdict(outlook), "affordable": outlook.affordable})
        return
    console = output()
    left = "without a bound" if outlook.left is None else f"{outlook.left:,} {outlook.unit} left"
    console.print(
        f"{outlook.wanted:,} persons are wanted, of whom {outlook.known:,} were asked about before. "
        f"Each costs at most {_amount(outlook.most_each, outlook.unit)} at {outlook.provider}; misses are free. "
        f"Budget: {left}.",
        markup=False,
        soft_wrap=True,
    )
    if outlook.left is not None and outlook.left < outlook.most_each:
        console.print(
            "Nothing can be bought before a budget begins anew; `crm-pipeline credits` says which is spent.",
            soft_wrap=True,
        )
        return
    price = f", about {outlook.money} {outlook.currency}" if outlook.money else ""
    more = " or more" if outlook.affordable < outlook.wanted - outlook.known else ""
    console.print(
        f"`crm-pipeline enrich --apply` asks about {outlook.affordable:,} persons{more}, for at most "
        f"{_amount(outlook.most, outlook.unit)}{price}.",
        markup=False,
        soft_wrap=True,
    )


def _amount(number: int, unit: str) -> str:
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"


def _apply(settings: "Settings", *, as_json: bool) -> None:
    from dataclasses import asdict

    from crm_pipeline.cli.console import emit_json, output
    from crm_pipeline.cli.runs import explain, instance_of, report
    from crm_pipeline.cli.workspace import ready_data
    from crm_pipeline.orchestration.runs import run_enrich

    ready_data(settings)
    with instance_of(settings) as instance, progress("enrich") as on_step:
        summary = interruptible(instance, partial(run_enrich, settings, instance, on_step=on_step))
    if as_json:
        emit_json(asdict(summary))
        explain(summary)
    else:
        bought = summary.bought
        if bought:
            output().print(
                f"Asked about {bought['persons_asked_about']:,} persons: {bought['matches']:,} matches, "
                f"{bought['credits_spent']:,} credits.",
                markup=False,
            )
        report(settings, summary)
    if not summary.is_success:
        raise typer.Exit(1)


def credits(  # noqa: A001 - the name of the command
    provider: Annotated[
        str | None, typer.Argument(help="Only this provider; by default all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the accounts at providers stand, and what we have spent of our own budgets.

    For instance:

      crm-pipeline credits
    """
    from crm_pipeline.cli.console import emit_json, output
    from crm_pipeline.cli.workspace import load_settings

    settings = load_settings()
    names = [settings.provider(provider).name] if provider else list(settings.providers)
    if not names:
        raise ConfigError(
            "connections.yaml names no providers.",
            cure="Add one under `providers`; docs/connections.md describes them.",
        )
    records = [_account_record(settings, name) for name in names]
    if as_json:
        emit_json(records)
        return
    for record in records:
        account = record["account"]
        at_provider = (
            f"{account['remaining']:,} left, {account['used']:,} used (plan {account['plan']})"
            if account
            else "the provider does not say"
        )
        spent = record["spent"]
        output().print(
            f"{record['provider']}: {at_provider}; ours: {spent['day']:,} today, {spent['month']:,} this month, of "
            f"{record['budget']['day'] or 'any'} and {record['budget']['month'] or 'any'} {record['unit']}.",
            markup=False,
            soft_wrap=True,
        )


def _account_record(settings: "Settings", name: str) -> dict[str, Any]:
    from dataclasses import asdict

    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.providers import Enricher, opened_provider
    from crm_pipeline.store.postgres.database import running_database
    from crm_pipeline.store.purchases import PurchaseLedger

    clock = SystemClock()
    with (
        running_database(settings) as database,
        opened_provider(settings, name, database, clock=clock) as account,
    ):
        stands = account.account() if isinstance(account, Enricher) else None
        spent = PurchaseLedger(database).spending(name, "", clock.now(), account.provider.renews_on)
        return {
            "provider": name,
            "unit": account.provider.unit,
            "account": asdict(stands) if stands else None,
            "spent": {"day": spent.day, "month": spent.month},
            "budget": asdict(account.provider.budget),
        }
