import pytest

from crm_pipeline.kernel.errors import ContractError, UnknownName

ROW = {"Id": "003A", "LastName": "Ng", "Email": "a@b.co", "Region__c": "EMEA"}


def test_a_vanished_mapped_field_keeps_the_version_and_proposes_its_successor(org, schema_of):
    """A rename is refused with the column, the likely new name and the lines to add."""
    org.land(schema_of("Contact", "LastName", "Email:email:Email"), [ROW])
    before = org.normalize("contacts").version
    renamed = schema_of("Contact", "LastName", "Shoe__c", "E_Mail__c:email:E-Mail")
    org.land(renamed, [{**ROW, "E_Mail__c": "c@d.co"}])
    with pytest.raises(ContractError) as caught:
        org.normalize("contacts")
    text = str(caught.value)
    assert "Contact.Email ('Email') is gone from acme; it fed contacts.email" in text
    assert text.index("E_Mail__c") < text.index("Shoe__c")
    assert "`mapping: {Contact: {E_Mail__c: email}}` under acme" in text
    assert "{Email: null}" in text
    assert org.tables.version("normalized/acme/contacts") == before


def test_the_proposed_lines_cure_it(org, schema_of):
    """With the successor mapped, records read before the rename keep the old field's value."""
    org.land(schema_of("Contact", "LastName", "Email:email:Email"), [ROW, {**ROW, "Id": "003B"}])
    org.land(
        schema_of("Contact", "LastName", "E_Mail__c:email:E-Mail"), [{**ROW, "E_Mail__c": "c@d.co"}]
    )
    org.mappings = {"Contact": {"E_Mail__c": "email"}}
    org.normalize("contacts")
    assert org.rows("contacts", "source_id, email, custom ->> 'Email'") == [
        ("003A", "c@d.co", None),
        ("003B", "a@b.co", "a@b.co"),
    ]


def test_a_field_with_a_line_of_its_own_is_cured_by_the_line_of_its_successor(org, schema_of):
    """The line that `drift accept` writes stands behind the old one, which then says where older values are."""
    org.land(schema_of("Contact", "LastName", "Region__c"), [ROW, {**ROW, "Id": "003B"}])
    org.mappings = {"Contact": {"Region__c": "department"}}
    org.normalize("contacts")
    org.land(schema_of("Contact", "LastName", "Zone__c"), [{**ROW, "Zone__c": "APAC"}])
    with pytest.raises(ContractError):
        org.normalize("contacts")
    org.mappings = {"Contact": {"Region__c": "department", "Zone__c": "department"}}
    org.normalize("contacts")
    assert org.rows("contacts", "source_id, department") == [("003A", "APAC"), ("003B", "EMEA")]


def test_a_field_set_to_null_is_let_go(org, schema_of):
    """The user may set a missing field to null; its old values stay in custom."""
    org.land(schema_of("Contact", "LastName", "Email:email:Email"), [ROW])
    org.land(schema_of("Contact", "LastName"), [{**ROW, "Id": "003B"}])
    org.mappings = {"Contact": {"Email": None}}
    org.normalize("contacts")
    assert org.rows("contacts", "email, custom ->> 'Email'") == [(None, "a@b.co"), (None, None)]


def test_a_field_that_never_was_is_null(org, schema_of):
    """Fields hidden from the API user from the start are unknown, not false."""
    org.land(schema_of("Contact", "LastName"), [ROW])
    org.normalize("contacts")
    assert org.rows("contacts", "email, email_opt_out, lawful_basis") == [(None, None, None)]


def test_an_unmapped_field_comes_and_goes(org, schema_of):
    """Custom fields may appear and vanish; values stay where they were read."""
    org.land(schema_of("Contact", "LastName", "Region__c"), [ROW])
    org.land(schema_of("Contact", "LastName", "Zone__c"), [{**ROW, "Id": "003B", "Zone__c": "Z"}])
    org.normalize("contacts")
    wanted = "custom ->> 'Region__c', custom ->> 'Zone__c'"
    assert org.rows("contacts", wanted) == [("EMEA", None), (None, "Z")]


def test_a_user_maps_a_custom_field_without_code(org, schema_of):
    """connections.yaml moves a custom field into a column, replacing what fed it."""
    org.land(
        schema_of("Contact", "LastName", "Department", "Region__c"), [{**ROW, "Department": "D"}]
    )
    org.mappings = {"Contact": {"Region__c": "department"}}
    org.normalize("contacts")
    assert org.rows("contacts", "department, custom ->> 'Department', custom ->> 'Region__c'") == [
        ("EMEA", "D", None)
    ]


def test_an_unknown_column_is_refused(org, schema_of):
    """A typo in the mapping lists the columns that exist."""
    org.land(schema_of("Contact", "LastName"), [ROW])
    org.mappings = {"Contact": {"Region__c": "departement"}}
    with pytest.raises(UnknownName, match="Did you mean 'department'"):
        org.normalize("contacts")
