"""`verify`: explain one address or number, or judge again what has no fresh verdict."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crm_pipeline.kernel.errors import ConfigError

if TYPE_CHECKING:
    from crm_pipeline.orchestration.runs import RunSummary
    from crm_pipeline.verification import Finding

_ENOUGH_DIGITS = 3
_UNUSABLE = frozenset({"undeliverable", "invalid"})
Kind = Literal["email", "phone"]


def verify(
    value: Annotated[
        str | None, typer.Argument(help="An e-mail address or a phone number, as a record has it.")
    ] = None,
    *,
    country: Annotated[
        str,
        typer.Option(help="Country of a phone number without country code, by its code or name."),
    ] = "",
    kind: Annotated[
        str, typer.Option(help="email or phone; by default what the value looks like.")
    ] = "",
    dns: Annotated[
        bool, typer.Option("--dns", help="Ask DNS whether the domain receives mail.")
    ] = False,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Verify what has no fresh verdict in data/, and publish."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Explain what an e-mail address or a phone number is good for, and why.

    Nothing is sent to the address, and nobody is called. The same rules judge all records in each refresh.
    With --stale they judge the values in data/ that are new, or whose verdict has expired, and publish the result.
    Exit code 1 where the value cannot be used.

    For instance:

      crm-pipeline verify 'Jane <jane@gmial.com>'
      crm-pipeline verify '030 1234567' --country Germany
      crm-pipeline verify --stale
    """
    if stale == (value is not None):
        raise ConfigError(
            "verify takes a value, or --stale, and not both.",
            cure="Write `crm-pipeline verify jane@example.com` or `crm-pipeline verify --stale`.",
        )
    if value is None:
        _verify_stale(as_json=as_json)
        return
    if not value.strip():
        raise ConfigError(
            "there is nothing in the value to verify.",
            cure="Write an address or a number, such as `crm-pipeline verify jane@example.com`.",
        )
    findings = _explained(value, _kind(value, kind), country, dns=dns)
    _show(findings, as_json=as_json)
    if any(f.verdict in _UNUSABLE for f in findings):
        raise typer.Exit(1)


def _kind(value: str, kind: str) -> Kind:
    if kind in {"email", "phone"}:
        return "email" if kind == "email" else "phone"
    if kind:
        raise ConfigError(f"there is no kind '{kind}'.", cure="Write --kind email or --kind phone.")
    digits = sum(character.isdigit() for character in value)
    return "phone" if "@" not in value and digits >= _ENOUGH_DIGITS else "email"


def _explained(value: str, kind: Kind, country: str, *, dns: bool) -> "list[Finding]":
    from crm_pipeline.verification import explain_email, explain_phone

    if kind == "phone":
        return explain_phone(value, country)
    return explain_email(value, _answers(value) if dns else None)


def _answers(value: str) -> Any:
    import pyarrow as pa

    from crm_pipeline.cli.workspace import load_settings
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.verification import DnsSettings, MailServers, MemoryCache, judge_emails

    settings = DnsSettings(resolver=load_settings().verification.resolver)
    servers = MailServers(settings, MemoryCache(), SystemClock())
    return servers.answers(judge_emails(pa.array([value]))["domain"])


def _show(findings: "Sequence[Finding]", *, as_json: bool) -> None:
    from crm_pipeline.cli.console import emit_json, output

    if as_json:
        emit_json([finding._asdict() for finding in findings])
        return
    console = output()
    for finding in findings:
        console.print(finding.what, markup=False, style="bold", highlight=False)
        for line in filter(None, (finding.why, finding.cure)):
            console.print(f"  {line}", markup=False, highlight=False)


def _verify_stale(*, as_json: bool) -> None:
    from dataclasses import asdict

    from crm_pipeline.cli.console import emit_json
    from crm_pipeline.cli.interruption import interruptible
    from crm_pipeline.cli.progress import progress
    from crm_pipeline.cli.runs import explain, instance_of, report
    from crm_pipeline.cli.workspace import load_settings, ready_data
    from crm_pipeline.orchestration.runs import run_publish

    settings = load_settings()
    ready_data(settings)
    with instance_of(settings) as instance, progress("verify") as on_step:
        summary = interruptible(instance, lambda: run_publish(settings, instance, on_step=on_step))
    if as_json:
        emit_json(asdict(summary))
        explain(summary)
    else:
        _report(summary)
        report(settings, summary)
    if not summary.is_success:
        raise typer.Exit(1)


def _report(summary: "RunSummary") -> None:
    from crm_pipeline.cli.console import output

    counts = summary.judged
    output().print(
        f"judged {counts.get('email', 0):,} texts with e-mail addresses and {counts.get('phone', 0):,} with phone numbers"
    )
