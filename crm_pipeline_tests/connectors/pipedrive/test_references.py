"""Custom fields that point to users, persons and organizations: one id in v2, an object in v1's leads."""

from pathlib import Path

import duckdb

from crm_pipeline_tests.connectors.modelled import build, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import SceneMaker

KINDS = {"Manager": "user", "Referrer": "people", "Reseller": "org"}


def test_references_of_leads_are_those_of_deals(make_scene: SceneMaker, tmp_path: Path) -> None:
    """Each is a number that can be joined, for leads as for deals, and the rest of the object stays."""
    with make_scene(contacts=20, objects="[deals, leads]") as scene:
        codes = {name: scene.company.add_field("deals", name, kind) for name, kind in KINDS.items()}
        ids = {
            "Manager": scene.company.rows("users")[0]["id"],
            "Referrer": scene.company.rows("persons")[0]["id"],
            "Reseller": scene.company.rows("organizations")[0]["id"],
        }
        wanted = {codes[name]: number for name, number in ids.items()}
        for obj in ("deals", "leads"):
            record = scene.company.rows(obj)[0]["id"]
            scene.company.edit(obj, record, **wanted)
            scene.advance(60)
            found = scene.extract(obj)
            for code in codes.values():
                field = found.schema.by_name[code]
                assert field.reference_to
                [value] = _values(scene.landed(found)["record"].to_pylist(), field.keys)
                assert value == str(wanted[code]), (obj, field.name)
        build(scene, tmp_path / "engine")
        for code, number in wanted.items():
            stored = f"custom ->> '{code}', (custom ->> '{code}_object')::JSON ->> 'value'"
            told = [row for row in rows(scene, "leads", stored) if row[0] is not None]
            assert told == [(str(number), str(number))]
            [(alone,)] = [
                row for row in rows(scene, "deals", f"custom ->> '{code}'") if row[0] is not None
            ]
            assert alone == str(number)


def _values(texts: list[str], keys: tuple[str, ...]) -> list[str]:
    path = "$" + "".join(f'."{key}"' for key in keys)
    with duckdb.connect() as database:
        sql = "SELECT json_extract_string(unnest(?::VARCHAR[]), ?)"
        rows = database.execute(sql, [texts, path]).fetchall()
    return [value for (value,) in rows if value is not None]
