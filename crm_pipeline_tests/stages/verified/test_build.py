"""The verified tables are those that a computation record by record leads to, after every refresh."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.errors import ContractError, CorruptFile
from crm_pipeline.stages.verified import Choices, Verified, Verifiers, verify
from crm_pipeline.stages.verified import rows as stage_rows
from crm_pipeline.stages.verified import verifiers as stage_verifiers
from crm_pipeline.store.files.checksums import AnySum, Verifier
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.stages.conftest import Org, schema
from crm_pipeline_tests.stages.verified.simple_verifiers import (
    email_parts,
    expected_points,
    verifiers,
)

PERSON = (
    "Email:email",
    "Phone:phone",
    "MobilePhone:phone",
    "Fax:phone",
    "MailingCountry",
    "Country",
)
SCHEMAS = {
    "Contact": schema("Contact", "LastName", *PERSON),
    "Lead": schema("Lead", "LastName", *PERSON),
    "Account": schema("Account", "Name", "Phone:phone", "Fax:phone", "BillingCountry"),
    "User": schema("User", "LastName", "Email:email", "Phone:phone", "MobilePhone:phone"),
}
TABLES = {"Contact": "contacts", "Lead": "leads", "Account": "companies", "User": "users"}
CHOICES = Choices({"acme": "DE"}, shared_from=3)
FIELDS = {
    "Email": st.sampled_from(["", " ", "a@x.example", "A@x.example;b@y.example", "nobody"]),
    "Phone": st.sampled_from(["+1", "+1", "2", "", "none"]),
    "MobilePhone": st.sampled_from(["", "+1", "7"]),
    "Fax": st.sampled_from(["", "9"]),
    "MailingCountry": st.sampled_from(["", "Germany", "Unknown"]),
    "IsDeleted": st.sampled_from(["false", "false", "true"]),
}
WINDOW = st.tuples(
    st.sampled_from(list(SCHEMAS)),
    st.sampled_from(["acme", "other"]),
    st.dictionaries(st.sampled_from("ABCDE"), st.fixed_dictionaries(FIELDS), max_size=4),
)


def verified(
    org: Org,
    judging: Verifiers | None = None,
    choices: Choices = CHOICES,
    contracts: ContractFolder | None = None,
) -> Verified:
    with org.engine() as engine:
        return verify(
            org.tables,
            engine,
            judging or verifiers(),
            choices,
            wanted=org.tables.names("normalized/"),
            now=org.clock.now(),
            contracts=contracts or ContractFolder(),
        )


def landed(
    org: Org, obj: str, rows: Mapping[str, Mapping[str, Any]], connection: str = "acme"
) -> None:
    records = []
    for name, row in rows.items():
        country = row.get("MailingCountry", "")
        more = {"Country": country, "BillingCountry": country, "LastName": name, "Name": name}
        records.append({"Id": f"003{name}", **more, **row})
    org.land(SCHEMAS[obj], records, connection=connection)
    org.normalize(TABLES[obj], connection)


def rows_of(org: Org, table: str, columns: str) -> list[tuple[Any, ...]]:
    version = org.tables.version(f"verified/{table}")
    if version is None:
        return []
    with org.engine() as engine:
        rows = engine.rows(f"SELECT {columns} FROM {Tables.relation(version)}")
        assert version.rows == len(rows)
    listed = [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in rows]
    return sorted(listed, key=str)


def points(org: Org) -> list[tuple[Any, ...]]:
    columns = (
        "connection, table_name, record_key, kind, label, value, position, is_primary, region, normalized, verdict, "
        "reasons"
    )
    return rows_of(org, "contact_points", columns)


def expected(org: Org) -> list[tuple[Any, ...]]:
    """Compute the points from the normalized rows."""
    records = []
    for name in org.tables.names("normalized/"):
        _, connection, table = name.split("/")
        key = {"contacts": "contact", "leads": "lead", "companies": "company", "users": "user"}[
            table
        ]
        of_person = table in {"contacts", "leads"}
        columns = [f"{key}_key", "is_deleted", "phone"]
        columns += ["email"] if table != "companies" else []
        columns += ["mobile_phone"] if table != "companies" else []
        columns += ["fax"] if table != "users" else []
        columns += ["country"] if table != "users" else []
        for values in org.rows(table, ", ".join(columns), connection):
            row = dict(zip(columns, values, strict=True))
            if row["is_deleted"]:
                continue
            phones = [("main", row["phone"], True)]
            if table != "companies":
                first = not row["phone"] if of_person else False
                phones.append(("mobile", row["mobile_phone"], first))
            if table != "users":
                phones.append(("fax", row["fax"], False))
            records.append(
                {
                    "connection": connection,
                    "table": table,
                    "key": row[f"{key}_key"],
                    "country": row.get("country"),
                    "emails": [("main", v, True) for v in [row.get("email")] if v and v.strip()],
                    "phones": [entry for entry in phones if entry[1] and entry[1].strip()],
                }
            )
    return expected_points(records, CHOICES.regions, CHOICES.shared_from)


# A failing example is small enough as it is; to make it smaller takes minutes.
@settings(max_examples=5, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(st.lists(WINDOW, min_size=1, max_size=2), min_size=2, max_size=4))
def test_refreshes_equal_a_computation_record_by_record(
    tmp_path_factory: pytest.TempPathFactory, refreshes: list[list[Any]]
) -> None:
    """Whatever came, changed and went: points and verdicts are those of the records as they are now."""
    folder = tmp_path_factory.mktemp("org")
    org = Org(folder)
    for windows in refreshes:
        for obj, connection, rows in windows:
            landed(org, obj, rows, connection)
        done = verified(org)
        wanted = expected(org)
        assert points(org) == wanted
        assert done.points("email") + done.points("phone") == len(wanted)
        values = {(p[5]) for p in wanted if p[3] == "email"}
        assert set(rows_of(org, "email_verdicts", "value, position, verdict")) == {
            (value, part["position"], part["verdict"])
            for value in values
            for part in email_parts(value)
        }
        of_phones = {(p[5], p[8], p[9], p[10]) for p in wanted if p[3] == "phone"}
        assert (
            set(rows_of(org, "phone_verdicts", "value, region, phone_e164, verdict")) == of_phones
        )
    shutil.rmtree(folder)


def verdicts_of(org: Org, number: str) -> set[tuple[str, tuple[str, ...]]]:
    of_points = {(p[10], p[11]) for p in points(org) if p[9] == number}
    rows = rows_of(org, "phone_verdicts", "phone_e164, verdict, reasons")
    assert {(verdict, why) for e164, verdict, why in rows if e164 == number} == of_points
    return of_points


def test_a_number_of_many_people_is_shared(org: Org) -> None:
    """The third person makes it shared for all, companies included; when one leaves, it is not any more."""
    landed(org, "Account", {"X": {"Phone": "+1"}})
    landed(org, "Contact", {"A": {"Phone": "+1"}, "B": {"Phone": "+1"}, "C": {"Phone": "+2"}})
    verified(org)
    assert verdicts_of(org, "+1") == {("valid", ())}
    landed(org, "Lead", {"D": {"MobilePhone": "+1"}})
    done = verified(org)
    assert verdicts_of(org, "+1") == {("risky", ("shared",))}
    assert verdicts_of(org, "+2") == {("valid", ())}
    assert done.by_reason("phone") == {"shared": 4}
    landed(
        org, "Contact", {"B": {"IsDeleted": "true", "SystemModstamp": "2026-02-01T00:00:00.000Z"}}
    )
    verified(org)
    assert verdicts_of(org, "+1") == {("valid", ())}


def test_a_person_counts_once_for_a_number(org: Org) -> None:
    """One person with a number in two spellings is one of those who share it."""
    landed(org, "Contact", {"A": {"Phone": "+15", "MobilePhone": "5"}, "B": {"Phone": "+15"}})
    choices = Choices({"acme": "1"}, shared_from=3)
    verified(org, choices=choices)
    assert verdicts_of(org, "+15") == {("valid", ())}
    landed(org, "Contact", {"C": {"Phone": "+15"}})
    verified(org, choices=choices)
    assert verdicts_of(org, "+15") == {("risky", ("shared",))}


def test_a_text_with_two_addresses_counts_once(org: Org) -> None:
    """A record that is looked at again for another reason keeps its verdicts on both addresses."""
    both = {"Email": "a@x.example;b@y.example", "Phone": "+1"}
    landed(org, "Contact", {"A": both, "B": {"Phone": "+1"}})
    verified(org)
    landed(org, "Contact", {"C": {"Phone": "+1"}})
    verified(org)
    rows = rows_of(org, "email_verdicts", "address, records")
    assert rows == [("a@x.example", 1), ("b@y.example", 1)]
    assert points(org) == expected(org)


def test_a_value_stays_as_long_as_a_record_has_it(org: Org) -> None:
    """Of two records with one address, the first that loses it leaves the verdict, the second takes it along."""
    same = {"Email": "a@x.example"}
    landed(org, "Contact", {"A": same, "B": same})
    verified(org)
    for name, left in (("A", {("a@x.example",), ("new@x.example",)}), ("B", {("new@x.example",)})):
        changed = {"Email": "new@x.example", "SystemModstamp": "2026-02-01T00:00:00.000Z"}
        landed(org, "Contact", {name: changed})
        verified(org)
        assert set(rows_of(org, "email_verdicts", "value")) == left


def test_many_values_and_points_are_taken_in_parts(
    org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of one value each, and of one point each, make the tables that one part would, and a refresh goes on from them."""
    monkeypatch.setattr(stage_verifiers, "_READ_VALUES", 1)
    monkeypatch.setattr(stage_rows, "_POINTS_AT_ONCE", 1)
    people = {
        name: {"Email": f"a@x.example;{name}@y.example", "Phone": "+1", "Fax": f"+{number}"}
        for number, name in enumerate("ABC", start=2)
    }
    landed(org, "Contact", people)
    assert verified(org).judged == {"email": 3, "phone": 4}
    version = org.tables.version("verified/contact_points")
    assert version is not None
    assert len(version.base) > 1
    assert points(org) == expected(org)
    assert verdicts_of(org, "+1") == {("risky", ("shared",))}
    counts = rows_of(org, "phone_verdicts", "phone_e164, records, people")
    assert counts == [("+1", 3, 3), ("+2", 1, 1), ("+3", 1, 1), ("+4", 1, 1)]
    landed(org, "Contact", {"D": {"Phone": "+1"}})
    verified(org)
    assert points(org) == expected(org)


@pytest.fixture
def two(org: Org) -> Org:
    """Two contacts whose values were judged."""
    landed(org, "Contact", {"A": {"Email": "a@x.example"}, "B": {"Email": "b@x.example"}})
    assert verified(org).judged == {"email": 2, "phone": 0}
    return org


def test_only_new_values_are_judged(two: Org) -> None:
    """A refresh judges what it brings; without changes nothing is judged or written."""
    release = two.tables.current()
    assert not verified(two).changed
    assert two.tables.current() == release
    landed(two, "Contact", {"C": {"Email": "c@x.example"}, "D": {"Email": "a@x.example"}})
    done = verified(two)
    assert done.judged == {"email": 1, "phone": 0}
    assert done.rows("contact_points") == 4


def test_expired_verdicts_are_judged_again(two: Org) -> None:
    """After the time that the settings give, and not before."""
    two.clock.advance(86_400 * 20)
    landed(two, "Contact", {"C": {"Email": "c@x.example"}})
    assert verified(two).judged["email"] == 1
    two.clock.advance(86_400 * 11)
    assert verified(two).judged["email"] == 2
    assert not verified(two).changed


def test_other_rules_judge_everything_again(two: Org) -> None:
    """New lists or another version of a library make all verdicts old."""
    assert verified(two, verifiers("2")).judged["email"] == 2
    assert set(rows_of(two, "email_verdicts", "rules_version")) == {("2",)}


def test_all_tables_are_of_one_release(two: Org) -> None:
    """A reader of any release gets three tables that fit together."""
    number = two.tables.current().number
    landed(two, "Contact", {"A": {"Email": "changed@x.example"}})
    verified(two)
    for release in (two.tables.release(number), two.tables.current()):
        versions = [
            two.tables.version(f"verified/{t}", release)
            for t in ("contact_points", "email_verdicts")
        ]
        assert len({version.meta["state"] for version in versions if version}) == 1


def test_a_value_without_a_verdict_is_refused(two: Org) -> None:
    """A judge that forgets a value does not reach analysts: the tables stay as they are."""

    def forgetful(values: Any) -> Any:
        table = verifiers().emails(values)
        return table.slice(0, max(0, table.num_rows - 1))

    before = two.tables.current()
    landed(two, "Contact", {"C": {"Email": "c@x.example"}})
    broken = Verifiers(forgetful, verifiers().phones, verifiers().regions_of, "1")
    with pytest.raises(ContractError, match="verdict is empty: 1 rows"):
        verified(two, broken)
    assert {n: v for n, v in two.tables.current().tables.items() if n.startswith("verified")} == {
        n: v for n, v in before.tables.items() if n.startswith("verified")
    }


def test_a_damaged_table_is_built_again(two: Org) -> None:
    """A flipped byte in a verified table is noticed when the next refresh would keep its rows."""
    version = two.tables.version("verified/contact_points")
    assert version
    path = version.base[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    two.tables = Tables(two.data)
    landed(two, "Contact", {"C": {"Email": "c@x.example"}})
    assert verified(two).judged["email"] == 3
    assert points(two) == expected(two)


def test_the_history_of_shares_is_bounded(org: Org) -> None:
    """The shares after the last builds stand in the result, the latest last."""
    for number in range(13):
        landed(
            org, "Contact", {"AB"[number % 2]: {"Email": "nobody" if number % 2 else "a@x.example"}}
        )
        done = verified(org, choices=Choices({}, expires=timedelta(days=99)))
    assert len(done.history) == 11
    assert done.history[-1]["email"] == pytest.approx(0.5)


def test_contracts_of_the_user_judge_the_tables(org, tmp_path):
    """A contract of a verified table is judged before the commit; keys that are addresses are never quoted."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "email_verdicts.py").write_text(
        "import pandera.pandas as pa\n\n"
        'short = pa.DataFrameSchema({"value": pa.Column(checks=pa.Check.str_length(1, 12), unique=True)})\n'
    )
    folder = ContractFolder(tmp_path)
    landed(org, "Contact", {"A": {"Email": "a@x.example"}})
    verified(org, contracts=folder)
    before = org.tables.version("verified/email_verdicts")
    landed(org, "Contact", {"B": {"Email": "somebody@x.example"}})
    with pytest.raises(
        ContractError, match=r"str_length.*\[contracts/email_verdicts.py\]: 1"
    ) as caught:
        verified(org, contracts=folder)
    assert "somebody" not in f"{caught.value} {caught.value.failures}"
    assert org.tables.version("verified/email_verdicts") == before


@pytest.mark.parametrize(
    ("change", "judged"),
    [
        ({"LastName": "Other"}, None),
        ({"Email": "new@x.example"}, {"email": 1, "phone": 0}),
        ({"MailingCountry": "Unknown"}, {"email": 0, "phone": 1}),
        ({"Phone": "", "MobilePhone": "+15"}, {"email": 0, "phone": 0}),
    ],
    ids=["name", "address", "country", "kind of number"],
)
def test_only_records_with_other_points_are_written(
    org: Org, change: dict[str, str], judged: dict[str, int] | None
) -> None:
    """A record whose addresses and numbers stay is not among the changes; any difference in them is one."""
    row = {"Email": "a@x.example", "Phone": "+15"}
    landed(org, "Contact", {"A": row, "B": {"Email": "b@x.example"}})
    verified(org)
    landed(org, "Contact", {"A": {**row, **change, "SystemModstamp": "2026-02-01T00:00:00.000Z"}})
    done = verified(org)
    version = org.tables.version("verified/contact_points")
    assert version
    assert version.changes
    with org.engine() as engine:
        keys = engine.rows(
            f"SELECT record_key FROM read_parquet({[str(p) for p in version.changes]})"
        )
    assert keys == ([] if judged is None else [("acme:Contact:003A",)])
    assert done.judged == (judged or {"email": 0, "phone": 0})
    assert points(org) == expected(org)


def test_files_that_are_taken_over_are_hashed_once_a_day(
    two: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh hashes what it reads anew; the base files of the verified tables once a day, or when they were touched."""
    hashed: list[str] = []
    whole = Verifier.is_whole

    def noting(self: Verifier, path: Path, recorded: AnySum) -> bool:
        hashed.append(f"{path.parent.parent.name}/{path.name[:4]}")
        return whole(self, path, recorded)

    monkeypatch.setattr(Verifier, "is_whole", noting)
    base = "contact_points/base"
    for seconds, is_hashed in ((60, False), (60, False), (86_400, True), (60, False)):
        two.clock.advance(seconds)
        two.tables = Tables(two.data)
        hashed.clear()
        # Many records stay, so that one more does not make the base new.
        landed(two, "Contact", {f"N{n}": {"Email": "a@x.example"} for n in range(30)})
        verified(two)
        assert (base in hashed) is is_hashed
        landed(two, "Contact", {"A": {"Email": f"{seconds}@x.example"}})
    version = two.tables.version("verified/contact_points")
    assert version
    version.base[0].touch()
    hashed.clear()
    verified(two)
    assert base in hashed


def test_a_damaged_source_is_refused_when_its_base_is_read(two: Org) -> None:
    """A flipped byte in the rows of a changed record stops the stage, and the text names the file."""
    landed(two, "Contact", {"A": {"Email": "changed@x.example"}})
    version = two.tables.version("normalized/acme/contacts")
    assert version
    path = version.base[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    two.tables = Tables(two.data)
    with pytest.raises(CorruptFile, match=path.name):
        verified(two)
