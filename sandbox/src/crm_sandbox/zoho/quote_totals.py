"""Sums of a quote: each line's totals, and the quote's own."""

from collections.abc import Sequence
from typing import Any

from crm_sandbox.zoho.org import Org


def totals_of(
    org: Org, rows: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return lines with their totals, and the quote's sums."""
    lines = []
    for place, row in enumerate(rows, 1):
        price = row.get("List_Price")
        if price is None:
            sql = 'SELECT "Unit_Price" FROM "Products" WHERE id = ?'
            price = org.tables.value(sql, [row.get("Product_Name")]) or 0.0
        quantity = row.get("Quantity") or 1.0
        discount = row.get("Discount") or 0.0
        total = round(price * quantity, 2)
        lines.append(
            row
            | {
                "Sequence_Number": place,
                "Quantity": quantity,
                "List_Price": price,
                "Total": total,
                "Discount": discount,
                "Total_After_Discount": total - discount,
                "Tax": 0.0,
                "Net_Total": total - discount,
            }
        )
    whole = round(sum(line["Net_Total"] for line in lines), 2)
    return lines, {"Sub_Total": whole, "Grand_Total": whole}
