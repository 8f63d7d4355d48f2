"""What the records of a HubSpot portal mean, by the vendor's property reference."""

from collections import defaultdict
from typing import Any

from crm_pipeline_tests.meaning.answers import Answers
from crm_pipeline_tests.meaning.facts import (
    Row,
    Table,
    Tables,
    absent,
    day,
    deal_activity,
    history,
    instant,
    joined,
    minutes,
    number,
    stays_of,
    yes,
)

_KINDS = {"tasks": "task", "notes": "note", "meetings": "meeting", "calls": "call"} | {
    "emails": "email"
}
# One that was forwarded to the CRM may have gone either way.
_DIRECTIONS = {"EMAIL": "outbound", "INCOMING_EMAIL": "inbound"}
# Of a meeting, a call or an e-mail: whether something is left to do.
_CLOSED = {"SCHEDULED": False} | dict.fromkeys(
    ("COMPLETED", "CANCELED", "NO_SHOW", "NO_ANSWER", "BUSY", "FAILED", "SENT", "BOUNCED"), True
)
_SUBJECTS = {
    "tasks": "hs_task_subject",
    "meetings": "hs_meeting_title",
    "calls": "hs_call_title",
} | {"emails": "hs_email_subject"}
_MERGEABLE = ("contacts", "companies", "deals", "tickets")


def tables(answers: Answers, connection: str) -> Tables:
    """Return every derived fact of a portal."""
    portal = _Portal(answers, connection)
    activities = portal.activities()
    return {
        "deals": portal.deals(),
        **portal.history(),
        "activities": activities,
        "deal_activity": deal_activity(activities),
        "contacts": portal.contacts(),
        "leads": portal.leads(),
        "users": portal.users(),
        "products": portal.products(),
        "exchange_rates": {},
        "deal_contacts": portal.pairs("deals", "contacts", with_roles=True),
        "deal_companies": portal.pairs("deals", "companies"),
        "contact_companies": portal.contact_companies(),
        "merges": portal.merges(),
        "gone": portal.gone(),
    }


class _Portal:
    def __init__(self, answers: Answers, connection: str) -> None:
        self._answers, self._name = answers, connection
        self.facts = answers.facts(connection)
        archived = answers.gone(connection, "owners")
        self.owners = {one["id"]: one for one in (*self._of("owners"), *archived)}
        self.logins = {str(one["userIdIncludingInactive"]): one for one in self.owners.values()}
        self.companies = self._named("companies")

    def _of(self, obj: str) -> list[Row]:
        return self._answers.of(self._name, obj)

    def _named(self, obj: str) -> dict[str, Any]:
        return {one["id"]: one["properties"] for one in self._of(obj)}

    def _day(self, text: str | None) -> Any:
        return day(text, self.facts.zone)

    def _people(self, one: Row) -> Row:
        owner = self.owners.get(one["hubspot_owner_id"] or "")
        maker = self.logins.get(one["hs_created_by_user_id"] or "")
        return {"owner": _name(owner), "created_by": _name(maker)}

    def _linked(self, obj: str, other: str) -> dict[str, str]:
        """Return the record that another is linked to: the primary one, else the first."""
        chosen: dict[str, Row] = {}
        for link in self._of(f"{obj}/{other}"):
            known = chosen.get(link["from"])
            is_better = known is not None and link["label"] == "Primary" != known["label"]
            if known is None or is_better:
                chosen[link["from"]] = link
        return {key: link["to"] for key, link in chosen.items()}

    def _stages(self, obj: str) -> tuple[dict[str, str], dict[str, str]]:
        pipelines = self._of(f"{obj}_pipelines")
        names = {pipeline["id"]: pipeline["label"] for pipeline in pipelines}
        return names, {
            stage["id"]: stage["label"] for pipeline in pipelines for stage in pipeline["stages"]
        }

    def deals(self) -> Table:
        pipelines, stages = self._stages("deal")
        bought = self._linked("deals", "companies")
        found: Table = {}
        for key, one in self._named("deals").items():
            is_closed = yes(one["hs_is_closed"])
            chance = number(one["hs_deal_stage_probability"])
            company = bought.get(key)
            found[f"deals:{key}"] = self._people(one) | {
                "name": one["dealname"],
                "stage": stages[one["dealstage"]],
                "pipeline": pipelines[one["pipeline"]],
                "amount": number(one["amount"]),
                "currency": one["deal_currency_code"],
                "amount_main": number(one["amount_in_home_currency"]),
                "is_closed": is_closed,
                "is_won": yes(one["hs_is_closed_won"]),
                "close_date": self._day(one["closedate"]),
                "closed_at": instant(one["closedate"]) if is_closed else None,
                "lost_reason": one["closed_lost_reason"],
                "stage_changed_at": instant(one["hs_v2_date_entered_current_stage"]),
                "last_activity_on": self._day(one["notes_last_updated"]),
                "last_activity_at": instant(one["notes_last_updated"]),
                "company": self.companies[company]["name"] if company in self.companies else None,
                "probability": None if chance is None else chance * 100,
            }
        return found

    def history(self) -> Tables:
        _, stages = self._stages("deal")
        stays = {}
        for one in self._of("deals"):
            changes = one["propertiesWithHistory"]["dealstage"][::-1]
            moves: Any = [(instant(row["timestamp"]), stages[row["value"]]) for row in changes]
            stays[f"deals:{one['id']}"] = stays_of(moves)
        return history(stays, self.facts.zone)

    def activities(self) -> Table:
        return {f"{obj}:{key}": row for obj in _KINDS for key, row in self._activities(obj).items()}

    def _activities(self, obj: str) -> Table:
        who, deal = self._linked(obj, "contacts"), self._linked(obj, "deals")
        found: Table = {}
        for key, one in self._named(obj).items():
            found[key] = self._people(one) | {
                "kind": _KINDS[obj],
                "subject": one[_SUBJECTS[obj]] if obj in _SUBJECTS else None,
                "day": self._day(one["hs_timestamp"]),
                "who": f"contacts:{who[key]}" if key in who else None,
                "deal": f"deals:{deal[key]}" if key in deal else None,
                **_of_kind(obj, one),
            }
        return found

    def contacts(self) -> Table:
        found: Table = {}
        for key, one in self._named("contacts").items():
            further = (one["hs_additional_emails"] or "").split(";")
            out = {yes(one[name]) for name in one if name.startswith("hs_email_optout")}
            bounces = number(one.get("hs_email_bounce")) or 0
            company = one["associatedcompanyid"]
            found[f"contacts:{key}"] = self._people(one) | {
                "full_name": joined(one["firstname"], one["lastname"]),
                "email": one["email"] or further[0] or None,
                # Out of one of the account's subscriptions is out.
                "email_opt_out": True if True in out else (False if False in out else None),
                # The one portal calls its property so, the other so.
                "do_not_call": yes(one["do_not_call" if "do_not_call" in one else "nicht_anrufen"]),
                "email_bounced": bounces > 0 or bool(one["hs_email_hard_bounce_reason_enum"]),
                "company": self.companies[company]["name"] if company in self.companies else None,
                "lifecycle_stage": one["lifecyclestage"],
                "last_activity_on": self._day(one["notes_last_updated"]),
                "last_activity_at": instant(one["notes_last_updated"]),
            }
        return found

    def leads(self) -> Table:
        pipelines, stages = self._stages("lead")
        return {
            f"leads:{key}": self._people(one)
            | {
                "name": one["hs_lead_name"],
                "status": stages[one["hs_pipeline_stage"]],
                "pipeline": pipelines[one["hs_pipeline"]],
                "contact": f"contacts:{one['hs_primary_contact_id']}",
            }
            for key, one in self._named("leads").items()
        }

    def users(self) -> Table:
        return {
            f"owners:{key}": {
                "full_name": _name(one),
                "is_active": not one["archived"],
                "email": one["email"],
                "teams": sorted(team["name"] for team in one.get("teams", ())) or None,
            }
            for key, one in self.owners.items()
        }

    def products(self) -> Table:
        return {
            f"products:{key}": {"name": one["name"], "price": number(one["price"])}
            for key, one in self._named("products").items()
        }

    def pairs(self, obj: str, other: str, *, with_roles: bool = False) -> Table:
        labels: dict[str, set[str | None]] = defaultdict(set)
        for link in self._of(f"{obj}/{other}"):
            labels[f"{obj}:{link['from']}|{other}:{link['to']}"].add(link["label"])
        if with_roles:
            return {key: {"roles": sorted(many - {None})} for key, many in labels.items()}  # type: ignore[type-var]
        return {key: {"is_primary": "Primary" in many} for key, many in labels.items()}

    def contact_companies(self) -> Table:
        """The company that a contact's property names is one of its companies, whatever the links say."""
        named = {
            f"contacts:{key}|companies:{one['associatedcompanyid']}": {}
            for key, one in self._named("contacts").items()
            if one["associatedcompanyid"] in self.companies
        }
        return {**named, **self.pairs("contacts", "companies")}

    def merges(self) -> Table:
        found: Table = {}
        for obj in _MERGEABLE:
            for key, one in self._named(obj).items():
                ids = (one["hs_merged_object_ids"] or "").split(";")
                vids = (one.get("hs_calculated_merged_vids") or "").split(";")
                for old in {*ids, *(text.partition(":")[0] for text in vids)} - {"", key}:
                    found[f"{obj}:{old}"] = {"new": f"{obj}:{key}"}
        return found

    def gone(self) -> Table:
        found: Table = {}
        for obj in ("contacts", "companies", "deals", "tickets", "leads", "products", *_KINDS):
            found |= absent(obj, (one["id"] for one in self._answers.gone(self._name, obj)))
        return found


def _name(owner: Row | None) -> str | None:
    return joined(owner["firstName"], owner["lastName"]) if owner else None


def _of_kind(obj: str, one: Row) -> Row:
    match obj:
        case "tasks":
            return {"done": one["hs_task_status"] == "COMPLETED", "starts_at": None}
        case "meetings":
            return {
                "done": _CLOSED.get(one["hs_meeting_outcome"]),
                "starts_at": (starts := instant(one["hs_meeting_start_time"])),
                "ends_at": (ends := instant(one["hs_meeting_end_time"])),
                "duration_minutes": minutes(starts, ends),
            }
        case "calls":
            return {
                "done": _CLOSED.get(one["hs_call_status"]),
                "starts_at": instant(one["hs_timestamp"]),
                "call_direction": one["hs_call_direction"].lower(),
            }
        case "emails":
            return {
                "done": _CLOSED.get(one["hs_email_status"]),
                "starts_at": instant(one["hs_timestamp"]),
                "email_direction": _DIRECTIONS.get(one["hs_email_direction"]),
            }
    return {}
