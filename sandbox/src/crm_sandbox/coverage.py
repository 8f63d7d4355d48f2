"""The coverage table: `python -m crm_sandbox.coverage` writes `docs/coverage.md`.

Which operations are built comes from the vendors' tables; which of them tests compare with the vendor's
description, and which a client of others tries, is kept in `docs/coverage.json` by the tests themselves.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crm_sandbox.operations import Operation
from crm_sandbox.registry import find_vendors

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE = DOCS / "coverage.json"
TABLE = DOCS / "coverage.md"
_TITLES = {
    "hubspot": "HubSpot",
    "hunter": "Hunter",
    "pipedrive": "Pipedrive",
    "prospeo": "Prospeo",
    "salesforce": "Salesforce",
    "zoho": "Zoho",
}
_HEAD = """# Coverage

Made by `python -m crm_sandbox.coverage` from the vendors' tables of operations and from `coverage.json`, which
the tests keep: **compared** operations have answers that tests compare with the vendor's own description;
**tried by** names the clients of others that tests drive against them. What stands in a description and is not
built is listed below each table; see also [not-emulated.md](not-emulated.md).
"""
_NOTES = {
    "hubspot": "Addresses begin with their area; each answers under the versions that the vendor has for "
    "it (`/crm/v3/objects/...`, `/crm/objects/2026-09/...`). `legacy-properties` is `/properties/v2`, "
    "`collector` is GraphQL.",
    "hunter": "The verifier of e-mail addresses; other products of the vendor are not built.",
    "pipedrive": "`/api/v1` answers like `/v1`.",
    "prospeo": "The vendor publishes no description that answers could be compared with; tests compare them with "
    "the types of its MCP server. The addresses of the old API answer that they are gone.",
    "salesforce": "`vXX.X` is any supported version. SOAP answers `login`, `query`, `queryAll` and "
    "`queryMore`. Compared is what the vendor has recorded an answer of, or declares in its partner WSDL.",
    "zoho": "Addresses are without their version; versions 2 to 8 answer.",
}


def text_of(evidence: Mapping[str, Any]) -> str:
    """Return the table in Markdown.

    Args:
        evidence: what the tests have shown, and which described operations are not built.
    """
    sections = [
        _section(name, vendor.operations, evidence)
        for name, vendor in sorted(find_vendors().items())
    ]
    return "\n".join([_HEAD, *sections])


def _section(vendor: str, operations: Iterable[Operation], evidence: Mapping[str, Any]) -> str:
    shown: dict[str, set[str]] = {}
    for kinds in evidence["shown"].values():
        for kind, some in kinds.items():
            for one in some:
                shown.setdefault(one, set()).add(kind)
    rows = []
    for one in operations:
        kinds = shown.get(f"{vendor} {one}", set())
        clients = ", ".join(sorted(kinds - {"compared"}))
        rows.append(f"| `{one}` | yes | {'yes' if 'compared' in kinds else ''} | {clients} |")
    compared = sum("| yes | yes |" in row for row in rows)
    tried = sum(not row.endswith("|  |") for row in rows)
    missing = [f"- `{one}`" for one in evidence["not_built"].get(vendor, ())]
    head = f"{len(rows)} operations built, {compared} compared, {tried} tried. {_NOTES[vendor]}"
    table = ["| operation | built | compared | tried by |", "|---|---|---|---|", *rows]
    described = ["", f"Described by the vendor and not built: {len(missing)}.", ""]
    return "\n".join([f"## {_TITLES[vendor]}", "", head, "", *table, *described, *missing, ""])


def main() -> None:
    """Write the table, in a checkout of this repository."""
    if not EVIDENCE.is_file():
        sys.exit(f"'{EVIDENCE}' is missing: the table is made in a checkout, with its tests")
    evidence = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    TABLE.write_text(text_of(evidence), encoding="utf-8")


if __name__ == "__main__":
    main()
