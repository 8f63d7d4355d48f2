from crm_pipeline.stages.normalized import preview


def test_a_preview_shows_no_person(org, schema_of):
    """Names, addresses and free text are masked; keys, numbers and flags are not."""
    contact = schema_of("Contact", "LastName", "Email", "HasOptedOutOfEmail:boolean", "Notes__c")
    row = {
        "Id": "003A",
        "LastName": "Lovelace",
        "Email": "ada@lovelace.example",
        "HasOptedOutOfEmail": "true",
        "Notes__c": "secret",
    }
    org.land(contact, [row, {**row, "Id": "003B", "IsDeleted": "true"}])
    version = org.normalize("contacts").version
    with org.engine() as engine:
        (shown,) = preview(engine, version)
    assert shown["contact_key"] == "acme:Contact:003A"
    assert (shown["last_name"], shown["email"]) == ("L***", "a***@l***.example")
    assert shown["email_opt_out"] == "true"
    assert not any("ovelace" in str(value) or "secret" in str(value) for value in shown.values())


def test_a_text_with_lines_is_masked_whole(org, schema_of):
    """Masking does not stop at the end of a line."""
    org.land(schema_of("Lead", "Street"), [{"Id": "00QA", "Street": "x\na@b.example\nsecret.de"}])
    version = org.normalize("leads").version
    with org.engine() as engine:
        (shown,) = preview(engine, version)
    assert "secret" not in shown["street"]


def test_a_custom_object_shows_only_ids_of_records(org, schema_of):
    """In custom objects only ids of records are shown; other columns named id or key may be personal."""
    fields = ("National_Id__c", "License_Key__c", "Mobile__c:double", "Size__c:double")
    owner = "Account__c:reference:Account:Account"
    row = {"Id": "a01A", "National_Id__c": "QQ123456C", "License_Key__c": "k-123-456"}
    row |= {"Mobile__c": "447700900123", "Size__c": "7", "Account__c": "001A"}
    org.land(schema_of("Badge__c", *fields, owner), [row])
    version = org.normalize("badge").version
    with org.engine() as engine:
        (shown,) = preview(engine, version)
    assert (shown["national_id"], shown["license_key"]) == ("Q***", "k***")
    assert "mobile" not in shown
    assert (shown["size"], shown["account_source_id"]) == ("7.0", "001A")
    assert (shown["badge_key"], shown["account_key"]) == ("acme:Badge__c:a01A", "acme:Account:001A")
