"""Plain rows of all accounts of a world that was read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crm_pipeline.settings import Connection
from crm_pipeline_tests.meaning import (
    plain_hubspot,
    plain_pipedrive,
    plain_salesforce,
    plain_zoho,
)
from crm_pipeline_tests.meaning.plain import Maker, Source, live_only
from crm_pipeline_tests.meaning.plain_verdicts import add_verdicts
from crm_pipeline_tests.meaning.rows import Account, Rows

_MAKERS: Mapping[str, Maker] = {
    "salesforce": plain_salesforce.make,
    "hubspot": plain_hubspot.make,
    "pipedrive": plain_pipedrive.make,
    "zoho": plain_zoho.make,
}


def rows_of(
    answers: Any, connections: Mapping[str, Connection], now: datetime, shared_from: int
) -> Rows:
    """Return what the vendors answer as plain rows.

    Args:
        answers: of the vendors, see `meaning.answers.Answers`.
        connections: the configured ones, by name.
        now: the questions' present.
        shared_from: so many people make a number shared.
    """
    accounts = {}
    for name, connection in connections.items():
        facts = answers.facts(name)
        accounts[name] = Account(name, connection.vendor, facts.zone, facts.currency)
    rows = Rows(accounts, now)
    for name, connection in connections.items():
        objects = {obj.name for obj in connection.objects}
        source = Source(accounts[name], answers, objects, rows, connection.mapping)
        _MAKERS[connection.vendor](source)
        live_only(rows, name)
    regions = {name: connection.country for name, connection in connections.items()}
    add_verdicts(rows, regions, shared_from)
    return rows
