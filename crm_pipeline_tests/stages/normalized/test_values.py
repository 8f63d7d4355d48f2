import json

import pytest

ODD = [
    "01234",
    "NA",
    "NULL",
    "null",
    "nan",
    "1e5",
    "9223372036854775807",
    'a "b", c\nd\re',
    "Zoë 😀",
    " x ",
]


@pytest.mark.parametrize("shape", ["csv", "json"])
def test_odd_texts_survive_to_the_published_table(org, schema_of, shape):
    """No text is taken for a null, a number or an end of line, in either shape."""
    contact = schema_of("Contact", "LastName", "Odd__c:string:Odd One")
    rows = [{"Id": f"003{i}", "LastName": text, "Odd__c": text} for i, text in enumerate(ODD)]
    org.land(contact, rows, shape=shape)
    org.normalize("contacts")
    org.publish()
    assert [r[0] for r in org.query("SELECT last_name FROM crm.contacts ORDER BY source_id")] == ODD
    customs = org.query("SELECT custom FROM crm.contacts ORDER BY source_id")
    assert [json.loads(r[0])["Odd__c"] for r in customs] == ODD
    view = org.query('SELECT "Odd One" FROM crm_acme.contact ORDER BY "Record ID"')
    assert [r[0] for r in view] == ODD
