"""What the records of a Zoho CRM org mean, by the vendor's API reference."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from crm_pipeline_tests.meaning.answers import Answers
from crm_pipeline_tests.meaning.facts import (
    Row,
    Stay,
    Table,
    Tables,
    absent,
    by_id,
    day,
    deal_activity,
    divided,
    history,
    instant,
    minutes,
    number,
    stays_of,
)

_KINDS = {"Tasks": "task", "Events": "meeting", "Calls": "call", "Notes": "note"}
_SUBJECTS = {"Tasks": "Subject", "Events": "Event_Title", "Calls": "Subject", "Notes": "Note_Title"}
_DAYS = {"Tasks": "Due_Date", "Events": "Start_DateTime", "Calls": "Call_Start_Time"} | {
    "Notes": "Created_Time"
}


def tables(answers: Answers, connection: str) -> Tables:
    """Return every derived fact of an org."""
    org = _Org(answers, connection)
    activities = org.activities()
    return {
        "deals": org.deals(),
        **org.history(),
        "activities": activities,
        "deal_activity": deal_activity(activities),
        "contacts": org.contacts(),
        "leads": org.leads(),
        "users": org.users_table(),
        "products": org.products(),
        "exchange_rates": org.rates_table(),
        "deal_contacts": org.deal_contacts(),
        "gone": org.gone(),
    }


class _Org:
    def __init__(self, answers: Answers, connection: str) -> None:
        self._answers, self._name = answers, connection
        self.facts = answers.facts(connection)
        self.users = by_id(self._of("Users"))
        self.stages = {
            (one["actual_value"], stage["actual_value"]): stage
            for one in self._of("Pipelines")
            for stage in one["maps"]
        }
        self.rates = {
            currency["iso_code"]: number(currency["exchange_rate"])
            for currency in self._currencies()
        }

    def _of(self, obj: str) -> list[Row]:
        return self._answers.of(self._name, obj)

    def _currencies(self) -> list[Row]:
        return self._of("Currencies")

    def _people(self, one: Row) -> Row:
        owner, maker = one["Owner"]["id"], one["Created_By"]["id"]
        return {
            "owner": self.users[owner]["full_name"] if owner in self.users else None,
            "created_by": self.users[maker]["full_name"] if maker in self.users else None,
        }

    def deals(self) -> Table:
        pipelines = {one["actual_value"]: one["display_value"] for one in self._of("Pipelines")}
        found: Table = {}
        for one in self._of("Deals"):
            stage = self.stages[one["Pipeline"], one["Stage"]]
            is_closed = stage["forecast_type"] != "Open"
            amount, rate = number(one["Amount"]), self.rates.get(one["Currency"])
            changed_at = instant(one["Stage_Modified_Time"])
            found[f"Deals:{one['id']}"] = self._people(one) | {
                "name": one["Deal_Name"],
                "stage": stage["display_value"],
                "pipeline": pipelines[one["Pipeline"]],
                "amount": amount,
                "currency": one["Currency"],
                "amount_main": None if amount is None else divided(amount, rate),
                "is_closed": is_closed,
                "is_won": stage["forecast_type"] == "Closed Won",
                "close_date": day(one["Closing_Date"], self.facts.zone),
                # Closed and won are stages: the change to them is the closing.
                "closed_at": changed_at if is_closed else None,
                "lost_reason": one.get("Reason_For_Loss__s"),
                "stage_changed_at": changed_at,
                "last_activity_on": day(one["Last_Activity_Time"], self.facts.zone),
                "last_activity_at": instant(one["Last_Activity_Time"]),
                "company": (one["Account_Name"] or {}).get("name"),
                "probability": number(one["Probability"]),
            }
        return found

    def history(self) -> Tables:
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in self._of("Deals/Stage_History"):  # newest first
            rows[row["of"]].insert(0, row)
        labels = {key: one["display_value"] for (_, key), one in self.stages.items()}
        deals = by_id(self._of("Deals"))
        stays = {f"Deals:{deal}": _stays(deals[deal], many, labels) for deal, many in rows.items()}
        return history(stays, self.facts.zone)

    def activities(self) -> Table:
        return {
            f"{obj}:{one['id']}": self._activity(obj, one)
            for obj in _KINDS
            for one in self._of(obj)
        }

    def _activity(self, obj: str, one: Row) -> Row:
        about = one.get("What_Id") or one.get("Parent_Id")
        module = one.get("$se_module")
        what = f"{module}:{about['id']}" if about and module else None
        row = self._people(one) | {
            "kind": _KINDS[obj],
            "subject": one[_SUBJECTS[obj]],
            "day": day(one[_DAYS[obj]], self.facts.zone),
            "what": what,
            "deal": what if module == "Deals" else None,
        }
        if obj != "Notes":
            row["who"] = f"Contacts:{one['Who_Id']['id']}" if one["Who_Id"] else None
        if obj == "Tasks":
            row |= {"done": one["Status"] == "Completed", "starts_at": None}
        if obj == "Events":
            starts, ends = instant(one["Start_DateTime"]), instant(one["End_DateTime"])
            row |= {"starts_at": starts, "duration_minutes": minutes(starts, ends)}
        if obj == "Calls":
            row |= {
                "starts_at": instant(one["Call_Start_Time"]),
                "call_direction": {"Missed": "inbound"}.get(
                    one["Call_Type"], one["Call_Type"].lower()
                ),
            }
        return row

    def _person(self, one: Row) -> Row:
        return self._people(one) | {
            "full_name": one["Full_Name"],
            "email": one["Email"] or one.get("Secondary_Email"),
            "email_opt_out": one["Email_Opt_Out"],
            "last_activity_on": day(one["Last_Activity_Time"], self.facts.zone),
            "last_activity_at": instant(one["Last_Activity_Time"]),
        }

    def contacts(self) -> Table:
        return {
            f"Contacts:{one['id']}": self._person(one)
            | {
                "do_not_call": one.get("Do_Not_Call"),
                "company": (one["Account_Name"] or {}).get("name"),
            }
            for one in self._of("Contacts")
        }

    def leads(self) -> Table:
        labels = self._answers.labels(self._name, "Leads", "Lead_Status")
        found: Table = {}
        for one in self._of("Leads"):
            contact = one["Converted_Contact"]
            found[f"Leads:{one['id']}"] = self._person(one) | {
                "status": labels.get(one["Lead_Status"], one["Lead_Status"]),
                "is_converted": one["Converted__s"],
                "converted_on": day(one["Converted_Date_Time"], self.facts.zone),
                "converted_at": instant(one["Converted_Date_Time"]),
                "converted_contact": f"Contacts:{contact['id']}" if contact else None,
                "company_name": one["Company"],
            }
        return found

    def users_table(self) -> Table:
        return {
            f"Users:{key}": {
                "full_name": one["full_name"],
                "is_active": one["status"] == "active",
                "email": one["email"],
                "role": one["role"]["name"],
            }
            for key, one in self.users.items()
        }

    def products(self) -> Table:
        return {
            f"Products:{one['id']}": {
                "name": one["Product_Name"],
                "price": number(one["Unit_Price"]),
            }
            for one in self._of("Products")
        }

    def rates_table(self) -> Table:
        return {
            f"Currencies:{one['id']}": {
                "currency": one["iso_code"],
                "rate": number(one["exchange_rate"]),
                "is_main": one["is_base"],
            }
            for one in self._currencies()
        }

    def deal_contacts(self) -> Table:
        pairs: Table = {}
        for row in self._of("Deals/Contact_Roles"):
            key = f"Deals:{row['of']}|Contacts:{row['id']}"
            role = (row["Contact_Role"] or {}).get("name")
            pairs[key] = {"roles": [role] if role else [], "is_primary": False}
        for one in self._of("Deals"):
            if one["Contact_Name"]:
                key = f"Deals:{one['id']}|Contacts:{one['Contact_Name']['id']}"
                pairs.setdefault(key, {"roles": []})["is_primary"] = True
        return pairs

    def gone(self) -> Table:
        found: Table = {}
        for obj in ("Accounts", "Contacts", "Leads", "Deals", *_KINDS):
            found |= absent(obj, (one["id"] for one in self._answers.gone(self._name, obj)))
        return found


def _stays(deal: Row, rows: Sequence[Row], labels: dict[str, str]) -> list[Stay]:
    """Return the stays of a deal, by what its own records say that a stamp means.

    The vendor does not document whether a row is stamped when its stage begins or when it ends. Where the
    last two rows have one stamp, the one before was stamped when its stage ended; else each when it began.
    """
    stamps: list[Any] = [instant(row["Modified_Time"]) for row in rows]
    names = [labels.get(row["Stage"], row["Stage"]) for row in rows]
    if any(one == other for one, other in pairwise(stamps)):
        stamps = [instant(deal["Created_Time"]), *stamps[:-1]]
    return stays_of(list(zip(stamps, names, strict=True)))
