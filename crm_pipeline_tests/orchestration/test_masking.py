import pytest

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.orchestration.masking import masked_email, preview

SCHEMA = Schema(
    "Contact",
    "Contact",
    (
        Field("Id", "Contact ID", "id"),
        Field("LastName", "Last Name", "string"),
        Field("Email", "Email", "email"),
        Field("Phone", "Phone", "phone"),
        Field("Description", "Description", "textarea"),
        Field("Birthdate", "Birthdate", "date", "date"),
        Field("AccountId", "Account", "reference", reference_to=("Account",)),
        Field("LeadSource", "Lead Source", "picklist", values=("Web", "Fair")),
        Field("AnnualRevenue", "Revenue", "currency", "decimal"),
    ),
)
ROW = {
    "Id": "003A",
    "LastName": "Lovelace",
    "Email": "ada.lovelace@analytical.example",
    "Phone": "+44 20 7946 0000",
    "Description": "Wrote | the\nfirst program",
    "Birthdate": "1815-12-10",
    "AccountId": "001B",
    "LeadSource": "Web|Fair",
    "AnnualRevenue": "12.50",
}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("john@acme.com", "j***@a***.com"),
        ("a@b.CO", "a***@b***.co"),
        ("x.y@sub.acme.co.uk", "x***@s***.uk"),
        ("not an address", "***"),
        ("", "***"),
    ],
)
def test_addresses_are_masked(text: str, masked: str) -> None:
    """Two initials and the last label stay."""
    assert masked_email(text) == masked


def test_a_preview_identifies_nobody() -> None:
    """Names, phones, free text and birthdays are left out; addresses are masked."""
    shown = preview(SCHEMA, [ROW])
    for secret in ("Lovelace", "lovelace", "7946", "program", "1815", "analytical"):
        assert secret not in shown
    assert shown.splitlines()[2] == r"| 003A | a\*\*\*@a\*\*\*.example | 001B | Web\|Fair | 12.50 |"
    assert "4 more fields" in shown


def test_values_are_found_by_their_paths() -> None:
    """Some vendors nest values, as in {"properties": {"amount": "5"}}; CSV rows do not. Whole objects are not shown."""
    fields = (
        Field(
            "hs_object_id", "Record ID", "number", "integer", path=("properties", "hs_object_id")
        ),
        Field("owner", "Owner", "reference", reference_to=("users",)),
    )
    rows = [
        {"properties": {"hs_object_id": "7"}, "owner": {"id": 1, "name": "Ada"}},
        {"hs_object_id": "8", "owner": "2"},
        {"properties": None},
    ]
    assert preview(Schema("deals", "Deals", fields), rows).splitlines()[2:5] == [
        "| 7 |  |",
        "| 8 | 2 |",
        "|  |  |",
    ]


def test_nothing_to_show_is_no_table() -> None:
    """Without records or harmless fields there is no preview."""
    assert preview(SCHEMA, []) == ""
    assert preview(Schema("X", "X", (Field("Name", "Name", "string"),)), [{"Name": "Ada"}]) == ""


def test_names_and_values_make_no_line_of_their_own() -> None:
    """Control characters, line ends and bars of fields and values are shown as text."""
    schema = Schema(
        "X", "X", (Field("Id\n| x |", "Id", "id"), Field("S", "S", "picklist", values=("a",)))
    )
    shown = preview(schema, [{"Id\n| x |": "1\x1b[2J", "S": "a\nb"}])
    assert shown.split("\n\n")[0] == (
        "| Id \\| x \\| | S |\n| --- | --- |\n| 1\\\\x1b\\[2J | a b |"
    )
