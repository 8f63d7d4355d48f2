"""Custom fields that point to users, persons and organizations: one id in v2, an object in v1's leads."""

from pathlib import Path

import duckdb

from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import HarnessMaker

KINDS = {"Manager": "user", "Referrer": "people", "Reseller": "org"}


def test_references_of_leads_are_those_of_deals(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """Each is an id that can be joined, for leads as for deals, and the whole object is kept."""
    with make_harness(contacts=20, objects="[deals, leads]") as harness:
        codes = {
            name: harness.company.add_field("deals", name, kind) for name, kind in KINDS.items()
        }
        ids = {
            "Manager": harness.company.rows("users")[0]["id"],
            "Referrer": harness.company.rows("persons")[0]["id"],
            "Reseller": harness.company.rows("organizations")[0]["id"],
        }
        wanted = {codes[name]: number for name, number in ids.items()}
        for obj in ("deals", "leads"):
            record = harness.company.rows(obj)[0]["id"]
            harness.company.edit(obj, record, **wanted)
            harness.advance(60)
            extraction = harness.extract(obj)
            for code in codes.values():
                field = extraction.schema.by_name[code]
                assert field.reference_to
                [value] = _values(harness.landed(extraction)["record"].to_pylist(), field.keys)
                assert value == str(wanted[code]), (obj, field.name)
        build(harness, tmp_path / "engine")
        for code, number in wanted.items():
            stored = f"custom ->> '{code}', (custom ->> '{code}_object')::JSON ->> 'value'"
            values = [row for row in rows(harness, "leads", stored) if row[0] is not None]
            assert values == [(str(number), str(number))]
            [(alone,)] = [
                row for row in rows(harness, "deals", f"custom ->> '{code}'") if row[0] is not None
            ]
            assert alone == str(number)


def _values(texts: list[str], keys: tuple[str, ...]) -> list[str]:
    path = "$" + "".join(f'."{key}"' for key in keys)
    with duckdb.connect() as database:
        sql = "SELECT json_extract_string(unnest(?::VARCHAR[]), ?)"
        rows = database.execute(sql, [texts, path]).fetchall()
    return [value for (value,) in rows if value is not None]
