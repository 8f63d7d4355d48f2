"""Consequences of writing an opportunity: computed fields, and a row of its history."""

from collections.abc import Iterable
from typing import Any

from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.storage import RowStore

_WATCHED = frozenset({"StageName", "Amount", "CloseDate", "Probability"})
# The admin may have given a column another type, so that its values are text now.
_AMOUNT = 'TRY_CAST("Amount" AS DOUBLE)'
_COMPUTED = f"""
    "ExpectedRevenue" = {_AMOUNT} * "Probability" / 100.0,
    "FiscalYear" = year("CloseDate"), "FiscalQuarter" = quarter("CloseDate"),
    "Fiscal" = year("CloseDate") || ' ' || quarter("CloseDate")
"""
_KEPT = ("StageName", "CloseDate", "Probability", "ForecastCategory", "CurrencyIsoCode")


def follow_up(org: Org, store: RowStore, written: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Compute anew and write history for opportunities whose stage, amount, date or chance changed.

    Args:
        org: holds the opportunities.
        store: how history is written.
        written: their ids with the values that were written.
    """
    ids = list(dict.fromkeys(record for record, values in written if _WATCHED & set(values)))
    if not ids:
        return
    chosen = 'WHERE "Id" IN (SELECT unnest(?::VARCHAR[]))'
    columns = ", ".join(f'"{name}"' for name in _KEPT)
    with org.writing() as cursor:
        cursor.execute(f'UPDATE "Opportunity" SET {_COMPUTED} {chosen}', [ids])
        rows = cursor.execute(
            f'SELECT "Id", {_AMOUNT}, "ExpectedRevenue", {columns} FROM "Opportunity" {chosen} '
            'ORDER BY "Id"',
            [ids],
        ).fetchall()
        names = ("OpportunityId", "Amount", "ExpectedRevenue", *_KEPT)
        made = [dict(zip(names, row, strict=True)) for row in rows]
        store.insert(org.known("OpportunityHistory"), made)
