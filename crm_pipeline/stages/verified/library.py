"""The verifiers of the package `verification`, with DNS where the user wants it."""

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline import verification
from crm_pipeline.kernel.clock import Clock
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.settings.verification import Verification
from crm_pipeline.stages.verified.dns_cache import StoredAnswers
from crm_pipeline.stages.verified.verifiers import Verifiers
from crm_pipeline.store.postgres.database import Database


def library_verifiers(
    settings: Verification, clock: Clock, database: Database | None = None
) -> Verifiers:
    """Return the verifiers.

    Args:
        settings: whether and how DNS is asked.
        clock: says when answers of DNS expire.
        database: keeps the answers of DNS; needed only where DNS is asked.
    """
    servers = None
    if settings.dns and database is not None:
        asked = verification.DnsSettings(resolver=settings.resolver, max_queries=settings.queries)
        servers = verification.MailServers(asked, StoredAnswers(database), clock)

    def emails(values: pa.Table) -> pa.Table:
        judged = _counted_from_one(verification.judge_emails(values["value"]))
        if servers is None or not judged.num_rows:
            return judged
        return verification.apply_dns(judged, servers.answers(judged["domain"]))

    def phones(values: pa.Table) -> pa.Table:
        return _counted_from_one(verification.judge_phones(values["value"], values["region"]))

    rules = [verification.EMAIL_RULES, verification.PHONE_RULES, settings.dns, settings.resolver]
    unsure = (verification.EmailReason.DNS_FAILED, verification.EmailReason.NOT_CHECKED)
    return Verifiers(
        emails,
        phones,
        verification.regions_of,
        fingerprint(rules)[:12],
        unsure=tuple(map(str, unsure)) if servers else (),
    )


def _counted_from_one(judged: pa.Table) -> pa.Table:
    index = judged.schema.get_field_index("position")
    return judged.set_column(index, "position", pc.add(judged["position"], 1))
