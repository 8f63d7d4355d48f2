"""What the records of a Pipedrive company mean, by the vendor's API reference."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from crm_pipeline_tests.meaning.answers import Answers
from crm_pipeline_tests.meaning.facts import (
    Row,
    Table,
    Tables,
    absent,
    by_id,
    day,
    deal_activity,
    history,
    instant,
    number,
    stays_of,
)

_KINDS = {"call": "call", "email": "email", "meeting": "meeting", "lunch": "meeting"}
# Nobody asked yet whoever is at no_consent, and who is archived is out of the marketing contacts.
_OPT_OUT = {"subscribed": False, "unsubscribed": True}


def tables(answers: Answers, connection: str) -> Tables:
    """Return every derived fact of a company."""
    company = _Company(answers, connection)
    activities = company.activities()
    return {
        "deals": company.deals(),
        **company.history(),
        "activities": activities,
        "deal_activity": deal_activity(activities),
        "contacts": company.contacts(),
        "leads": company.leads(),
        "users": company.users_table(),
        "products": company.products(),
        "exchange_rates": {},
        "deal_contacts": company.deal_contacts(),
        "gone": absent("deals", (one["id"] for one in answers.gone(connection, "deals"))),
    }


class _Company:
    def __init__(self, answers: Answers, connection: str) -> None:
        self._answers, self._name = answers, connection
        self.facts = answers.facts(connection)
        self.users = by_id(self._of("users"))
        self.organizations = by_id(self._of("organizations"))
        self.stages = by_id(self._of("stages"))
        self.pipelines = by_id(self._of("pipelines"))

    def _of(self, obj: str) -> list[Row]:
        return self._answers.of(self._name, obj)

    def _user(self, key: int | None) -> str | None:
        return self.users[str(key)]["name"] if str(key) in self.users else None

    def _organization(self, key: int | None) -> str | None:
        return self.organizations[str(key)]["name"] if str(key) in self.organizations else None

    def deals(self) -> Table:
        found: Table = {}
        for one in self._of("deals"):
            closed_at = instant(one["close_time"])
            is_closed = one["status"] != "open"
            local = one.get("local_close_date")
            closed_on = day(local or closed_at, self.facts.zone) if is_closed else None
            found[f"deals:{one['id']}"] = {
                "name": one["title"],
                "stage": self.stages[str(one["stage_id"])]["name"],
                "pipeline": self.pipelines[str(one["pipeline_id"])]["name"],
                "amount": number(one["value"]),
                "currency": one["currency"],
                # The vendor lists currencies without rates.
                "amount_main": number(one["value"])
                if one["currency"] == self.facts.currency
                else None,
                "is_closed": is_closed,
                "is_won": one["status"] == "won",
                "close_date": closed_on or day(one["expected_close_date"], self.facts.zone),
                "closed_at": closed_at if is_closed else None,
                "owner": self._user(one["owner_id"]),
                "created_by": self._user(one["creator_user_id"]),
                "lost_reason": one["lost_reason"],
                "is_archived": one["is_archived"],
                # One that never moved stands where it was made.
                "stage_changed_at": instant(one["stage_change_time"] or one["add_time"]),
                "company": self._organization(one["org_id"]),
            }
        return found

    def history(self) -> Tables:
        changes: dict[str, list[Row]] = defaultdict(list)
        for row in self._of("deals/changelog"):  # newest first
            if row["field_key"] == "stage_id":
                changes[str(row["of"])].insert(0, row)
        stays = {}
        for one in self._of("deals"):
            moved = changes[str(one["id"])]
            first = moved[0]["old_value"] if moved else str(one["stage_id"])
            moves: list[Any] = [(instant(one["add_time"]), first)]
            moves += [(instant(row["time"]), row["new_value"]) for row in moved]
            named = [(at, self.stages[stage]["name"]) for at, stage in moves]
            stays[f"deals:{one['id']}"] = stays_of(named)
        return history(stays, self.facts.zone)

    def activities(self) -> Table:
        done = {f"activities:{one['id']}": self._activity(one) for one in self._of("activities")}
        return done | {f"notes:{one['id']}": self._note(one) for one in self._of("notes")}

    def _activity(self, one: Row) -> Row:
        # Where there is a time, both are UTC; else the day is one without a time.
        starts_at = instant(f"{one['due_date']}T{one['due_time']}") if one["due_time"] else None
        ends_at = starts_at + _length(one["duration"]) if starts_at and one["duration"] else None
        return {
            "kind": _KINDS.get(one["type"], "task"),
            "subject": one["subject"],
            "day": day(starts_at or one["due_date"], self.facts.zone),
            "starts_at": starts_at,
            "ends_at": ends_at,
            "done": one["done"],
            "completed_at": instant(one["marked_as_done_time"]),
            "owner": self._user(one["owner_id"]),
            "created_by": self._user(one["creator_user_id"]),
            **_about(one),
        }

    def _note(self, one: Row) -> Row:
        return {
            "kind": "note",
            "day": day(instant(one["add_time"]), self.facts.zone),
            "owner": self._user(one["user_id"]),
            **_about(one),
        }

    def contacts(self) -> Table:
        found: Table = {}
        for one in self._of("persons"):
            emails = sorted(one["emails"], key=lambda entry: not entry["primary"])
            found[f"persons:{one['id']}"] = {
                "full_name": one["name"],
                "email": emails[0]["value"] if emails else None,
                "email_opt_out": _OPT_OUT.get(one["marketing_status"]),
                "email_bounced": None,
                "company": self._organization(one["org_id"]),
                "owner": self._user(one["owner_id"]),
            }
        return found

    def leads(self) -> Table:
        found: Table = {}
        for one in self._of("leads"):
            worth = one["value"] or {"amount": None, "currency": None}
            found[f"leads:{one['id']}"] = {
                "name": one["title"],
                "amount": number(worth["amount"]),
                "currency": worth["currency"],
                "is_archived": one["is_archived"],
                "owner": self._user(one["owner_id"]),
                "created_by": self._user(one["creator_id"]),
                "contact": f"persons:{one['person_id']}" if one["person_id"] else None,
            }
        return found

    def users_table(self) -> Table:
        roles = {one["id"]: one["name"] for one in self._of("roles")}
        teams = [one for one in self._of("legacyTeams") if one["active_flag"]]
        return {
            f"users:{key}": {
                "full_name": one["name"],
                "is_active": one["active_flag"],
                "email": one["email"],
                "role": roles.get(one["role_id"]),
                "teams": sorted(team["name"] for team in teams if one["id"] in team["users"]),
            }
            for key, one in self.users.items()
        }

    def products(self) -> Table:
        found: Table = {}
        for one in self._of("products"):
            prices = {price["currency"]: price["price"] for price in one["prices"]}
            first = one["prices"][0]["currency"] if prices else None
            currency = self.facts.currency if self.facts.currency in prices else first
            found[f"products:{one['id']}"] = {
                "name": one["name"],
                "price": number(prices.get(currency)),
                "currency": currency,
            }
        return found

    def deal_contacts(self) -> Table:
        pairs: Table = {}
        for one in self._of("deals"):
            if one["person_id"]:
                pairs[f"deals:{one['id']}|persons:{one['person_id']}"] = {"is_primary": True}
        for row in self._of("deals/participants"):
            key = f"deals:{row['of']}|persons:{row['person_id']['value']}"
            pairs.setdefault(key, {"is_primary": False})
        return pairs


def _about(one: Row) -> Row:
    return {
        "who": f"persons:{one['person_id']}" if one["person_id"] else None,
        "deal": f"deals:{one['deal_id']}" if one["deal_id"] else None,
    }


def _length(text: str) -> timedelta:
    hours, minutes = text.split(":")[:2]
    return timedelta(hours=int(hours), minutes=int(minutes))
