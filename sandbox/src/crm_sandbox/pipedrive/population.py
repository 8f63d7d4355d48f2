"""Fill a company: from the vendor-neutral world to one table per object."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crm_sandbox.companies import noise
from crm_sandbox.kernel.staging import filling
from crm_sandbox.pipedrive.custom_fields import CustomField
from crm_sandbox.pipedrive.objects import ALL
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.selling import stage_catalogue, stage_deals
from crm_sandbox.pipedrive.staging import USER_COUNT, Staging
from crm_sandbox.pipedrive.talking import stage_engagement
from crm_sandbox.stamps import Integers
from crm_sandbox.vocabulary import INDUSTRIES

CHANGES = (
    "CREATE TABLE changes (seq BIGINT, entity VARCHAR, record VARCHAR, field_key VARCHAR, "
    "old_value VARCHAR, new_value VARCHAR, actor INTEGER, moment TIMESTAMP, source VARCHAR, "
    "is_bulk BOOLEAN)"
)

FOLLOWERS = (
    "CREATE TABLE followers (entity VARCHAR, record INTEGER, user_id INTEGER, add_time TIMESTAMP)"
)
# A version 4 UUID of the number of a lead.
_LEAD_ID = (
    "CREATE MACRO lead_uuid(n) AS concat_ws('-', left(md5('{crm} lead ' || n), 8), "
    "substr(md5('{crm} lead ' || n), 9, 4), '4' || substr(md5('{crm} lead ' || n), 14, 3), "
    "'a' || substr(md5('{crm} lead ' || n), 18, 3), right(md5('{crm} lead ' || n), 12))"
)


def fill(
    staging: Staging,
    custom: Mapping[str, Sequence[CustomField]],
    labels: Sequence[str],
) -> None:
    """Create and fill the table of every object.

    Args:
        staging: an empty one.
        custom: the custom fields by object.
        labels: the ids of the lead labels.
    """
    connection = staging.connection
    connection.execute(_LEAD_ID.format(crm=staging.plan.crm))
    with filling(connection, staging.world):
        _stage_users(staging)
        _stage_parties(staging)
        stage_catalogue(staging)
        stage_deals(staging)
        stage_engagement(staging)
        words = _words(staging, labels)
        for entity in ALL:
            fields = custom.get("deals" if entity.name == "leads" else entity.name, ())
            connection.execute(_create(entity, fields, words))
        for statement in (CHANGES, FOLLOWERS, _PARTICIPANTS, _HISTORY):
            connection.execute(statement)
    staging.clear()


def _words(staging: Staging, labels: Sequence[str]) -> dict[str, str]:
    """Return what stands in SQL for `$labels` and other words."""
    return {
        "labels": str(list(labels)),
        "mailbox": f"'sandbox-{staging.plan.name}'",
        "contacts": str(staging.world.contacts),
        "organizations": str(staging.sizes["organizations"]),
        "admin": str(staging.plan.first_user),
        "zone": f"'{staging.plan.time_zone}'",
        "offset": f"'{_offset(staging.plan.time_zone, staging.world.epoch)}'",
        "money": f"'{staging.plan.currency}'",
        "roles": str(len(staging.plan.roles)),
    }


def _create(entity: Entity, custom: Sequence[CustomField], words: Mapping[str, str]) -> str:
    made = [f'({one.sql})::{one.type} AS "{one.name}"' for one in entity.stored]
    for one in custom:
        options = str([option.id for option in one.options])
        source = one.lead_sql if entity.name == "leads" else one.sql
        value = source.replace("$o[", f"{options}[")
        made.append(f'({value})::{one.column} AS "{one.code}"')
    sql = ", ".join(made)
    for word, value in words.items():
        sql = sql.replace(f"${word}", value)
    return f'CREATE TABLE "{entity.name}" AS SELECT {sql} FROM stage_{entity.name} ORDER BY i'


# Up to two colleagues of the contact, in some deals; `id` is that of the participation.
_PARTICIPANTS = """
CREATE TABLE participants AS
SELECT row_number() OVER (ORDER BY d.id, p.id)::INTEGER AS id, d.id AS deal_id, p.id AS person_id,
       d.add_time + INTERVAL 1 HOUR AS add_time, d.owner_id AS added_by, d.add_time AS update_time
FROM deals d JOIN persons p ON p.org_id = d.org_id AND p.id <> d.person_id AND NOT p.is_deleted
WHERE d.id % 3 <> 1
QUALIFY row_number() OVER (PARTITION BY d.id ORDER BY p.id) <= 2
"""

# The history of the deals: what the world drew as steps, told field by field.
_HISTORY = """
INSERT INTO changes
WITH steps AS (
    SELECT *, lag(stage_id) OVER of AS stage_before, lag(amount) OVER of AS amount_before,
           lag(status) OVER of AS status_before
    FROM stage_steps WINDOW of AS (PARTITION BY deal_id ORDER BY step)
), told AS (
    SELECT deal_id, step, moment, owner_id, 1 AS place, 'add_time' AS field_key, NULL AS old_value,
           strftime(moment, '%Y-%m-%d %H:%M:%S') AS new_value FROM steps WHERE step = 0
    UNION ALL
    SELECT deal_id, step, moment, owner_id, 2, 'stage_id', stage_before::VARCHAR, stage_id::VARCHAR
    FROM steps WHERE step > 0 AND stage_id <> stage_before
    UNION ALL
    SELECT deal_id, step, moment, owner_id, 3, 'value', amount_before::VARCHAR, amount::VARCHAR
    FROM steps WHERE step > 0 AND amount <> amount_before
    UNION ALL
    SELECT deal_id, step, moment, owner_id, 4, 'status', status_before, status
    FROM steps WHERE step > 0 AND status <> status_before
)
SELECT row_number() OVER (ORDER BY deal_id, step, place), 'deals', deal_id::VARCHAR, field_key,
       old_value, new_value, owner_id, moment, 'app', false
FROM told ORDER BY deal_id, step, place
"""


def _offset(zone: str, epoch: int) -> str:
    text = f"{datetime.fromtimestamp(epoch, ZoneInfo(zone)):%z}"
    return f"{text[:3]}:{text[3:]}"


def _stage_users(staging: Staging) -> None:
    rng = staging.rng("users")
    first = ("Ada", "Grace", "Linus", "Zoë", "Renée", "Søren", "Mia", "Omar", "Yuki", "Igor")
    last = ("Park", "Okafor", "Lindqvist", "Haddad", "Novák", "Silva", "Meyer", "Rossi", "Kim")
    index = range(USER_COUNT)
    mailbox = staging.plan.name
    staging.add(
        "users",
        staging.life(rng, USER_COUNT)
        | {
            "id": np.arange(USER_COUNT) + staging.plan.first_user,
            "name": pa.array([f"{first[k % len(first)]} {last[k % len(last)]}" for k in index]),
            "email": pa.array([f"user{k}@{mailbox}.example" for k in index]),
            "active": pa.array([k % 6 != 5 for k in index]),
        },
    )


def _stage_parties(staging: Staging) -> None:
    world, plan = staging.world, staging.plan
    companies = world.companies()
    rng = staging.rng("organizations")
    count = companies.num_rows
    ends = staging.ends(rng, companies["touched"], rng.random(count) < 0.012, days=45)
    staging.add(
        "organizations",
        _columns(companies)
        | ends
        | {
            "touched": staging.unstamped(ends["touched"], ends["deleted"]),
            "industry_id": pc.add(pc.index_in(companies["industry"], pa.array(INDUSTRIES)), 1),
            "merged_into": np.full(count, -1),
        },
    )
    contacts = world.contact_cards(plan.crm, companies)
    leads = world.lead_cards(plan.crm, companies)
    known, strangers = known_leads(contacts, leads)
    cards = pa.concat_tables([contacts, leads.filter(pa.array(strangers))])
    _stage_persons(staging, cards, contacts, companies)
    _stage_leads(staging, leads, known, companies)


def known_leads(contacts: pa.Table, leads: pa.Table) -> tuple[Integers, NDArray[np.bool_]]:
    """Return per lead the index of its person record, and which leads bring a record of their own."""
    person = leads["person"].to_numpy()
    first_card = np.full(int(contacts["person"].to_numpy().max()) + 1, -1)
    first_card[contacts["person"].to_numpy()[::-1]] = contacts["i"].to_numpy()[::-1]
    is_known = person < len(first_card)
    known = np.where(is_known, first_card[np.minimum(person, len(first_card) - 1)], -1)
    strangers = (known < 0) & ~leads["deleted"].to_numpy(zero_copy_only=False)
    place = contacts.num_rows + np.cumsum(strangers) - 1
    return np.where(strangers, place, known), strangers


def _stage_persons(
    staging: Staging, cards: pa.Table, contacts: pa.Table, companies: pa.Table
) -> None:
    rng = staging.rng("persons")
    count = cards.num_rows
    company = cards["company"].to_numpy()
    deleted = cards["deleted"].to_numpy(zero_copy_only=False)
    ends = staging.ends(rng, cards["touched"], deleted, days=45)
    master = np.where(np.arange(count) < contacts.num_rows, cards["master"].to_numpy(), -1)
    staging.person_company = company
    staging.person_alive = ~deleted
    join = pc.binary_join_element_wise
    staging.add(
        "persons",
        _columns(cards)
        | ends
        | {
            "i": np.arange(count),
            "touched": staging.unstamped(ends["touched"], deleted),
            "org_id": company + 1,
            "merged_into": np.where(master >= 0, master + 1, -1),
            "currency": companies["currency"].take(cards["company"]),
            "email_home": join("p", pc.cast(cards["r7"], pa.string()), "@private.example", ""),
        },
    )


def _stage_leads(
    staging: Staging,
    leads: pa.Table,
    known: Integers,
    companies: pa.Table,
) -> None:
    company = leads["company"].to_numpy()
    names = pc.binary_join_element_wise(leads["given"], leads["family"], " ")
    titles = pc.binary_join_element_wise(names, companies["name"].take(leads["company"]), " - ")
    rng = staging.rng("lead ends")
    deleted = leads["deleted"].to_numpy(zero_copy_only=False)
    staging.add(
        "leads",
        _columns(leads)
        | staging.ends(rng, leads["touched"], deleted, days=45)
        | {
            "title": titles,
            "person_id": pa.array(known + 1, mask=known < 0),
            "org_id": company + 1,
            "currency": companies["currency"].take(leads["company"]),
        },
    )


def _columns(table: pa.Table) -> dict[str, object]:
    return {name: table[name] for name in table.column_names} | _more_noise(table)


def _more_noise(table: pa.Table) -> dict[str, object]:
    missing = [f"r{k}" for k in range(1, 9) if f"r{k}" not in table.column_names]
    drawn = noise(np.random.default_rng(11), table.num_rows, 8) if missing else {}
    return {name: drawn[name] for name in missing}
