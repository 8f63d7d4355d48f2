"""The wanted persons of a table version, in their order, a batch at a time."""

from collections.abc import Iterator

from crm_pipeline.stages.enriched.buying import Candidate
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

_ROWS = 1_000


def candidates(engine: Engine, version: TableVersion) -> Iterator[Candidate]:
    """Yield the persons of a version of `enrichment_wanted`, the most wanted first."""
    from crm_pipeline.providers import Person

    place = 0
    while True:
        rows = engine.rows(
            "SELECT place, email, full_name, first_name, last_name, company_domain, company_name, records "
            f"FROM {Tables.relation(version)} WHERE place > {place} ORDER BY place LIMIT {_ROWS}"
        )
        for place, email, name, first, last, domain, company, records in rows:  # noqa: B007
            person = Person(
                email=email or "",
                name=name or "",
                first_name=first or "",
                last_name=last or "",
                domain=domain or "",
                company=company or "",
            )
            yield Candidate(person, tuple(records))
        if len(rows) < _ROWS:
            return
