"""Plain rows of what a Pipedrive company answers."""

from collections.abc import Iterable

from crm_pipeline_tests.meaning.plain import (
    Record,
    Source,
    day,
    in_main,
    linked,
    moment,
    money,
    points,
)
from crm_pipeline_tests.meaning.rows import Row

_KINDS = {"call": "call", "email": "email", "meeting": "meeting", "lunch": "meeting"}
_OUT = {"subscribed": False, "unsubscribed": True}


def make(source: Source) -> None:
    """Add all rows."""
    key, add = source.key, source.add
    add(
        "pipelines",
        (
            {"pipeline_key": key("pipelines", r["id"]), "label": r["name"], "for_table": "deals"}
            for r in source.of("pipelines")
        ),
    )
    add("stages", (_stage(source, r) for r in source.of("stages")))
    add(
        "users",
        (
            {
                "user_key": key("users", r["id"]),
                "full_name": r["name"],
                "is_active": r["active_flag"],
                "emails": points(("main", r["email"])),
                "phones": points(("main", r["phone"])),
            }
            for r in source.of("users")
        ),
    )
    add(
        "companies",
        (
            {"company_key": key("companies", r["id"]), "name": r["name"]}
            for r in source.of("organizations")
        ),
    )
    add("contacts", (_contact(source, r) for r in source.of("persons")))
    channels = source.labels("deals", "channel") if _has_channels(source, "deals") else {}
    add("leads", (_lead(source, r, channels) for r in source.of("leads")))
    add("deals", (_deal(source, r, channels) for r in source.of("deals")))
    add("deal_contacts", linked(_people(source)))
    add("activities", (_activity(source, r) for r in source.of("activities")))
    add("activities", (_note(source, r) for r in source.of("notes")))
    if "deal_changes" in source.objects:
        _history(source)


def _has_channels(source: Source, obj: str) -> bool:
    return any(record.get("channel") for record in source.of(obj))


def _stage(source: Source, record: Record) -> Row:
    return {
        "stage_key": source.key("stages", record["id"]),
        "pipeline_key": source.key("pipelines", record["pipeline_id"]),
        "name": str(record["id"]),
        "label": record["name"],
        "position": record["order_nr"],
        "probability": record["deal_probability"],
        "is_closed": False,
    }


def _contact(source: Source, record: Record) -> Row:
    emails = _listed(record.get("emails"))
    return {
        "contact_key": source.key("contacts", record["id"]),
        "full_name": record["name"],
        "title": record.get("job_title") or None,
        "email": emails[0]["value"] if emails else None,
        "emails": emails,
        "phones": _listed(record.get("phones")),
        "modified_at": moment(record["update_time"]),
        "email_opt_out": _OUT.get(record.get("marketing_status") or ""),
        "company_key": source.key("companies", record.get("org_id")),
    }


def _listed(entries: list[Record] | None) -> list[Row]:
    """Return contact points, the main one first."""
    filled = sorted(entries or (), key=lambda entry: not entry["primary"])
    return points(*((entry["label"], entry["value"]) for entry in filled))


def _channel(record: Record, channels: dict[str, str]) -> str | None:
    channel = record.get("channel")
    return channels.get(str(channel), str(channel)) if channel else None


def _lead(source: Source, record: Record, channels: dict[str, str]) -> Row:
    return {
        "lead_key": source.key("leads", record["id"]),
        "name": record["title"],
        "contact_key": source.key("contacts", record.get("person_id")),
        "source": _channel(record, channels) or record.get("source_name") or None,
        "created_at": moment(record["add_time"]),
    }


def _deal(source: Source, record: Record, channels: dict[str, str]) -> Row:
    amount, currency = money(record["value"]), record["currency"]
    status = record["status"]
    closed_at = moment(
        record.get("close_time") or record.get("won_time") or record.get("lost_time")
    )
    if status != "open" and record.get("local_close_date"):
        close_date = day(record["local_close_date"])
    elif status != "open" and record.get("close_time"):
        closing = moment(record["close_time"])
        close_date = closing and source.account.day(closing)
    else:
        close_date = day(record.get("expected_close_date"))
    return {
        "deal_key": source.key("deals", record["id"]),
        "name": record["title"],
        "owner_key": source.key("users", record["owner_id"]),
        "owner_source_id": str(record["owner_id"]),
        "company_key": source.key("companies", record.get("org_id")),
        "pipeline_key": source.key("pipelines", record["pipeline_id"]),
        "stage": str(record["stage_id"]),
        "amount": amount,
        "currency": currency,
        "amount_main": in_main(source, amount, currency),
        "probability": record.get("probability"),
        "close_date": close_date,
        "is_closed": status != "open",
        "is_won": status == "won",
        "closed_at": closed_at,
        "lost_reason": record.get("lost_reason"),
        "is_archived": record["is_archived"],
        "source": _channel(record, channels),
        "created_at": moment(record["add_time"]),
        "stage_changed_at": moment(record.get("stage_change_time")),
    }


def _people(source: Source) -> Iterable[tuple[str | None, str | None, str | None, bool]]:
    key = source.key
    for record in source.of("deals"):
        yield key("deals", record["id"]), key("contacts", record.get("person_id")), None, True
    if "deal_participants" in source.objects:
        for record in source.of("deals/participants"):
            person = record["person_id"]
            person = person["value"] if isinstance(person, dict) else person
            yield key("deals", record["of"]), key("contacts", person), "", False


def _about(source: Source, record: Record) -> Row:
    deal, lead, person = record.get("deal_id"), record.get("lead_id"), record.get("person_id")
    others = [one["person_id"] for one in record.get("participants") or ()]
    return {
        "contacts": list({source.key("contacts", one): None for one in (person, *others) if one}),
        "deals": [source.key("deals", deal)] if deal else [],
        "leads": [source.key("leads", lead)] if lead else [],
    }


def _activity(source: Source, record: Record) -> Row:
    due = record.get("due_time")
    return {
        "activity_key": source.key("activities", record["id"]),
        "activity_type": _KINDS.get(record["type"], "task"),
        "is_closed": record["done"],
        "completed_at": moment(record.get("marked_as_done_time")),
        "starts_at": moment(f"{record['due_date']} {due}") if due else None,
        "created_at": moment(record["add_time"]),
        **_about(source, record),
    }


def _note(source: Source, record: Record) -> Row:
    return {
        "activity_key": source.key("notes", record["id"]),
        "activity_type": "note",
        "created_at": moment(record["add_time"]),
        **_about(source, record),
    }


_STATE = ("stage_id", "value", "currency")


def _history(source: Source) -> None:
    """Add each deal's first state, and its state after each change of stage, amount or currency."""
    stages = {stage["name"]: stage["pipeline_key"] for stage in source.rows.of("stages")}
    changes: dict[str, list[Record]] = {}
    for change in source.of("deals/changelog"):  # newest first
        if change["field_key"] in _STATE:
            changes.setdefault(str(change["of"]), []).insert(0, change)
    for deal in source.of("deals"):
        state = {key: str(deal[key]) for key in _STATE}
        for change in reversed(changes.get(str(deal["id"]), [])):
            state[change["field_key"]] = str(change["old_value"])
        states = [(dict(state), deal["add_time"])]
        for change in changes.get(str(deal["id"]), []):
            state[change["field_key"]] = str(change["new_value"])
            states.append((dict(state), change["time"]))
        source.add(
            "deal_stage_history",
            (
                {
                    "source_id": str(number),
                    "deal_key": source.key("deals", deal["id"]),
                    "pipeline_key": stages.get(then["stage_id"]),
                    "stage": then["stage_id"],
                    "amount": money(then["value"]),
                    "currency": then["currency"],
                    "changed_at": moment(at),
                }
                for number, (then, at) in enumerate(states)
            ),
        )
