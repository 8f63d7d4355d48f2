"""Setup, activities, products, owners, merges and custom objects of HubSpot; people and deals stand in test_hubspot_records."""

import shutil
from decimal import Decimal

import pytest

from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.stages.normalized.test_hubspot_records import (
    CONTACT,
    MAPPING,
    ROOT,
    built,
    link,
    record,
    schema,
)


@pytest.fixture
def portal(org):
    org.maps = MAPPING
    return org


def test_pipelines_and_their_stages(portal):
    """Nested stages become rows; their metadata are texts, probabilities become percent."""
    fields = (
        Field("label", "Label", "string"),
        Field("displayOrder", "Order", "number", "integer"),
    )
    deals = {
        "id": "default",
        "label": "Sales Pipeline",
        "displayOrder": 0,
        "archived": False,
        "stages": [
            {
                "id": "appointmentscheduled",
                "label": "Appointment Scheduled",
                "displayOrder": 0,
                "metadata": {"isClosed": "false", "probability": "0.2"},
                "archived": False,
            },
            {
                "id": "closedwon",
                "label": "Closed Won",
                "displayOrder": 5,
                "metadata": {"isClosed": "true", "probability": "1.0"},
                "archived": False,
            },
        ],
    }
    tickets = {
        "id": "0",
        "label": "Support",
        "archived": False,
        "stages": [
            {"id": "1", "label": "New", "displayOrder": 0, "metadata": {"ticketState": "OPEN"}},
            {"id": "4", "label": "Done", "displayOrder": 3, "metadata": {"ticketState": "CLOSED"}},
        ],
    }
    for obj, pipeline in (("deal_pipelines", deals), ("ticket_pipelines", tickets)):
        portal.land_records(Schema(obj, obj, (*ROOT, *fields)), [pipeline], complete=True)
    assert built(portal, "pipelines", "pipeline_key, name, label, for_table, is_default") == [
        ("acme:deal_pipelines:default", "default", "Sales Pipeline", "deals", True),
        ("acme:ticket_pipelines:0", "0", "Support", "tickets", True),
    ]
    columns = "source_id, pipeline_key, name, position, probability, is_closed, is_won"
    sales, support = "acme:deal_pipelines:default", "acme:ticket_pipelines:0"
    assert built(portal, "stages", columns) == [
        ("0:1", support, "1", 0, None, False, None),
        ("0:4", support, "4", 3, None, True, None),
        ("default:appointmentscheduled", sales, "appointmentscheduled", 0, 20.0, False, False),
        ("default:closedwon", sales, "closedwon", 5, 100.0, True, True),
    ]


def test_a_ticket(portal):
    """Tickets move through pipelines and belong to people and companies."""
    ticket = schema(
        "tickets",
        "subject content hs_pipeline hs_pipeline_stage hs_ticket_priority closed_date:datetime",
    )
    found = record("9", subject="Ausfall", hs_pipeline="0", hs_pipeline_stage="4")
    found["associations"] = [link("contacts", "151", kind=16), link("companies", "7", kind=339)]
    portal.land_records(ticket, [found])
    columns = "subject, pipeline_key, status, company_key, contact_key"
    assert built(portal, "tickets", columns) == [
        ("Ausfall", "acme:ticket_pipelines:0", "4", "acme:companies:7", "acme:contacts:151")
    ]


def test_five_kinds_of_activities(portal):
    """Tasks, notes, meetings, calls and e-mails are one table; durations are seconds."""
    tasks = schema(
        "tasks",
        "hs_task_subject hs_task_status hs_timestamp:datetime hs_task_completion_date:datetime",
    )
    done = "1767225600000"
    portal.land_records(
        tasks,
        [
            record(
                "1", hs_task_status="COMPLETED", hs_timestamp=done, hs_task_completion_date=done
            ),
            record("2", hs_task_status="NOT_STARTED", hs_task_completion_date=done),
        ],
    )
    call = record("3", hs_call_duration="61500", hs_timestamp="2026-01-01T00:00:00Z")
    call["associations"] = [link("deals", "3001"), link("contacts", "151")]
    portal.land_records(schema("calls", "hs_call_duration:number hs_timestamp:datetime"), [call])
    meeting = record("4", hs_meeting_start_time=done, hs_meeting_end_time="2026-01-01T01:00:00Z")
    names = "hs_meeting_start_time:datetime hs_meeting_end_time:datetime"
    portal.land_records(schema("meetings", names), [meeting])
    portal.land_records(schema("notes", "hs_note_body"), [record("5", hs_note_body="<p>x</p>")])
    portal.land_records(schema("emails", "hs_email_subject"), [record("6", hs_email_subject="Re:")])
    columns = (
        "source_id, activity_type, is_closed, epoch_ms(completed_at), call_seconds, "
        "epoch_ms(starts_at), epoch_ms(ends_at), deal_key, contact_key"
    )
    at = int(done)
    assert built(portal, "activities", columns) == [
        ("1", "task", True, at, None, None, None, None, None),
        ("2", "task", False, None, None, None, None, None, None),
        ("3", "call", None, None, 62, at, None, "acme:deals:3001", "acme:contacts:151"),
        ("4", "meeting", None, None, None, at, at + 3_600_000, None, None),
        ("5", "note", None, None, None, None, None, None, None),
        ("6", "email", None, None, None, None, None, None, None),
    ]


def test_line_items_and_products(portal):
    """A line item belongs to the deal that it is linked with."""
    item = record(
        "1", name="Wartung", quantity="2", price="9.99", hs_product_id="5", amount="19.98"
    )
    item["associations"] = [link("deals", 3001, kind=20)]
    names = (
        "name quantity:number price:number amount:number hs_product_id hs_line_item_currency_code"
    )
    portal.land_records(schema("line_items", names), [item])
    columns = "name, quantity, unit_price, total_price, deal_key, product_key"
    assert built(portal, "deal_line_items", columns) == [
        (
            "Wartung",
            Decimal("2.000000"),
            Decimal("9.990000"),
            Decimal("19.980000"),
            "acme:deals:3001",
            "acme:products:5",
        )
    ]


def test_owners_are_users(portal):
    """Owners join by their own id, not by the login's; archived ones stay, and are not active."""
    fields = (
        *ROOT,
        *(
            Field(name, name, "string")
            for name in ("email", "type", "firstName", "lastName", "userId", "teams")
        ),
    )
    owners = [
        {
            "id": "7001",
            "email": "a@b.co",
            "type": "PERSON",
            "userId": 42,
            "archived": False,
            "firstName": "Ada",
            "teams": [{"name": "B"}, {"name": "A", "primary": True}, {"name": ""}],
        },
        {"id": "7002", "email": "c@d.co", "type": "PERSON", "userId": None, "archived": True},
    ]
    # As the connector lands them: not as deleted records.
    portal.land_records(Schema("owners", "Owners", fields), owners, deleted="none")
    columns = "user_key, email, is_active, is_deleted, login_id, full_name, teams"
    assert built(portal, "users", columns) == [
        ("acme:owners:7001", "a@b.co", True, False, "42", "Ada", ["A", "B"]),
        ("acme:owners:7002", "c@d.co", False, False, None, None, None),
    ]


def test_who_made_it_and_in_which_pipeline(portal):
    """Published rows have the users of logins and the pipelines of stages; unknown ones stay NULL."""
    fields = (*ROOT, Field("userId", "User ID", "number", "integer"))
    owners = [{"id": "7001", "userId": 42}, {"id": "7002", "userId": None}]
    portal.land_records(Schema("owners", "Owners", fields), owners)
    pipeline = {"id": "9", "label": "Sales", "stages": [{"id": "won"}, {"id": "lost"}]}
    named = (*ROOT, Field("label", "Label", "string"))
    portal.land_records(Schema("deal_pipelines", "Pipelines", named), [pipeline], complete=True)
    deals = [
        record("1", hs_created_by_user_id="42"),
        record("2", hs_created_by_user_id="43"),
        record("3", hs_created_by_user_id=None),
    ]
    at = "2026-02-01T00:00:00.000Z"
    moves = [
        {"value": "won", "timestamp": at, "updatedByUserId": 42},
        {"value": "gone", "timestamp": "2026-01-01T00:00:00.000Z"},
    ]
    deals[0]["propertiesWithHistory"] = {"dealstage": moves}
    portal.land_records(schema("deals", "dealstage hs_created_by_user_id:number"), deals)
    for table in ("users", "pipelines", "stages", "deals", "deal_stage_history"):
        portal.normalize(table)
    portal.publish()
    columns = "source_id, created_by_source_id, created_by_key"
    assert portal.query(f"SELECT {columns} FROM crm.deals ORDER BY 1") == [
        ("1", "42", "acme:owners:7001"),
        ("2", "43", None),
        ("3", None, None),
    ]
    columns = "stage, pipeline_source_id, pipeline_key, changed_by_key"
    assert portal.query(f"SELECT {columns} FROM crm.deal_stage_history ORDER BY changed_at") == [
        ("gone", None, None, None),
        ("won", "9", "acme:deal_pipelines:9", "acme:owners:7001"),
    ]


@pytest.mark.parametrize("is_winner_first", [True, False])
def test_a_merge_makes_a_new_record(portal, is_winner_first):
    """Both merged contacts refer to the new one, though no list has them any more."""
    old = [record("1", email="a@b.co"), record("2")]
    new = [record("3", hs_merged_object_ids="1;2", hs_calculated_merged_vids="1:1767225600123")]
    for part in (new, old) if is_winner_first else (old, new):
        portal.land_records(CONTACT, part)
    assert built(portal, "contacts", "source_id, is_deleted, merged_into") == [
        ("1", True, "acme:contacts:3"),
        ("2", True, "acme:contacts:3"),
        ("3", False, None),
    ]


@pytest.mark.parametrize("is_first_winner_late", [False, True])
def test_the_history_of_a_winner_that_is_merged_on(portal, is_first_winner_late):
    """The last version of each record says what the table says, built with each read and from nothing alike. A winner
    that lands once it was merged itself, or again, changes nothing of that."""
    first, second = (
        record("3", updatedAt="2026-03-02T00:00:00Z", hs_merged_object_ids="1;2"),
        record("5", updatedAt="2026-03-03T00:00:00Z", hs_merged_object_ids="1;2;3;4"),
    )
    late = {**first, "updatedAt": "2026-03-04T00:00:00Z"}
    reads = [[second], [late]] if is_first_winner_late else [[first], [second], [late]]
    for part in ([record(one) for one in "124"], *reads):
        portal.land_records(CONTACT, part)
        portal.normalize("contacts")

    def versions():
        columns = "source_id, merged_into, valid_from, valid_to"
        return sorted(
            portal.rows("contacts", columns, prefix="history", where="_is_version"), key=repr
        )

    made_with_each = versions()
    last = {one: into for one, into, _, until in made_with_each if until is None}
    table = dict(portal.rows("contacts", "source_id, merged_into", where="merged_into IS NOT NULL"))
    # A record without versions in the history has one, its row in the table.
    last.pop("5", None)
    assert table == table | last == dict.fromkeys("1234", "acme:contacts:5")
    shutil.rmtree(portal.data / "tables")
    portal.tables = Tables(portal.data)
    portal.normalize("contacts")
    assert versions() == made_with_each


def test_ids_that_were_merged_before_the_first_read(portal):
    """Merged ids whose records were never read are listed as well, each with its present record."""
    portal.land_records(
        CONTACT,
        [
            record("3", hs_merged_object_ids="1;2"),
            # The vendor lists all old ids; a chain leads to its end even where one did not.
            record("9", hs_merged_object_ids="3;8"),
            record("5"),
        ],
    )
    columns = "old_key, new_key, table_name, old_source_id, is_deleted, custom"
    assert built(portal, "merges", columns) == [
        (f"acme:contacts:{old}", "acme:contacts:9", "contacts", old, False, "{}") for old in "1238"
    ]
    assert built(portal, "contacts", "source_id, merged_into") == [
        ("3", "acme:contacts:9"),
        ("5", None),
        ("9", None),
    ]


def test_no_merges_are_no_rows(portal):
    """A portal without merges has an empty table of merges, for custom objects as well."""
    portal.land_records(CONTACT, [record("5")])
    machine = schema("p44_machines", "serial hs_merged_object_ids")
    portal.land_records(machine, [record("12", hs_merged_object_ids="11")])
    assert built(portal, "merges", "old_key, new_key, table_name") == [
        ("acme:p44_machines:11", "acme:p44_machines:12", "p44_machines")
    ]


def test_a_custom_object_has_its_own_table(portal):
    """Own objects are typed by their schema, owned, and linked by associations."""
    machine = schema("p44_machines", "serial price:number bought:date hubspot_owner_id")
    row = record("12", serial="007", price="10.5", bought="1767225600000", hubspot_owner_id="7001")
    portal.land_records(machine, [row])
    assert portal.table_names() == ["p44_machines", "merges", "associations"]
    columns = "p44_machines_key, serial, price, bought::VARCHAR, owner_key"
    assert built(portal, "p44_machines", columns) == [
        ("acme:p44_machines:12", "007", Decimal("10.500000"), "2026-01-01", "acme:owners:7001")
    ]


def test_two_portals_do_not_collide(portal):
    """The same ids in two accounts are two contacts, with links that stay within each."""
    for name in ("acme", "globex"):
        contact = {**record("151", lastname=name), "associations": [link("companies", "7")]}
        portal.land_records(CONTACT, [contact], connection=name)
        built(portal, "contacts", "1", name)
        built(portal, "associations", "1", name)
    portal.publish()
    assert portal.query("SELECT contact_key, last_name FROM crm.contacts ORDER BY 1") == [
        ("acme:contacts:151", "acme"),
        ("globex:contacts:151", "globex"),
    ]
    joined = (
        "SELECT c.connection, to_key FROM crm.contacts AS c "
        "JOIN crm.associations AS a ON a.from_key = c.contact_key ORDER BY 1"
    )
    assert portal.query(joined) == [
        ("acme", "acme:companies:7"),
        ("globex", "globex:companies:7"),
    ]
