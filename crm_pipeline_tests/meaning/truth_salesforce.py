"""What the records of a Salesforce org mean, by its Object Reference."""

from collections import defaultdict
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
    divided,
    history,
    instant,
    number,
    stays_of,
)

_PREFIX = {"001": "Account", "003": "Contact", "00Q": "Lead", "006": "Opportunity"} | {
    "500": "Case",
    "701": "Campaign",
    "01t": "Product2",
}
_SUBTYPES = {"Call": "call", "Email": "email", "ListEmail": "email"}
_DELETED = {"Account": "companies", "Contact": "contacts", "Lead": "leads", "Opportunity": "deals"}


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
        "exchange_rates": org.rates(),
        "deal_contacts": org.deal_contacts(),
        "merges": org.merges(),
        "gone": org.gone(),
    }


class _Org:
    def __init__(self, answers: Answers, connection: str) -> None:
        self._answers, self._name = answers, connection
        self.facts = answers.facts(connection)
        self.users = by_id(self._of("User"), "Id")
        self.accounts = by_id(self._of("Account"), "Id")

    def _of(self, obj: str) -> list[Row]:
        return self._answers.of(self._name, obj)

    def _user(self, key: str | None) -> str | None:
        return self.users[key]["Name"] if key in self.users else None

    def deals(self) -> Table:
        labels = {one["ApiName"]: one["MasterLabel"] for one in self._of("OpportunityStage")}
        return {
            f"Opportunity:{one['Id']}": {
                "name": one["Name"],
                "stage": labels[one["StageName"]],
                "amount": number(one["Amount"]),
                "currency": one["CurrencyIsoCode"],
                **self._in_main(one),
                "is_closed": one["IsClosed"],
                "is_won": one["IsWon"],
                "close_date": day(one["CloseDate"], self.facts.zone),
                # Closed and won are stages: the change to them is the closing.
                "closed_at": instant(one["LastStageChangeDate"]) if one["IsClosed"] else None,
                "owner": self._user(one["OwnerId"]),
                "created_by": self._user(one["CreatedById"]),
                "lost_reason": one.get("Loss_Reason__c"),
                "stage_changed_at": instant(one["LastStageChangeDate"]),
                "last_activity_on": day(one["LastActivityDate"], self.facts.zone),
                "company": self.accounts[one["AccountId"]]["Name"] if one["AccountId"] else None,
                "probability": number(one["Probability"]),
            }
            for one in self._of("Opportunity")
        }

    def _in_main(self, one: Row) -> Row:
        """Divide by the rate of the closing day where rates have days, else by the one rate there is."""
        amount, currency = number(one["Amount"]), one["CurrencyIsoCode"]
        if amount is None or currency == self.facts.currency:
            return {"amount_main": amount, "rate_on": None}
        rates = {row["IsoCode"]: row["ConversionRate"] for row in self._of("CurrencyType")}
        for row in self._of("DatedConversionRate"):
            of_day = row["StartDate"] <= one["CloseDate"] < row["NextStartDate"]
            if row["IsoCode"] == currency and of_day:
                on = day(row["StartDate"], self.facts.zone)
                return {"amount_main": divided(amount, row["ConversionRate"]), "rate_on": on}
        return {"amount_main": divided(amount, rates.get(currency)), "rate_on": None}

    def rates(self) -> Table:
        found = {
            f"CurrencyType:{one['Id']}": {
                "currency": one["IsoCode"],
                "rate": number(one["ConversionRate"]),
                "is_main": one["IsCorporate"],
            }
            for one in self._of("CurrencyType")
        }
        return found | {
            f"DatedConversionRate:{one['Id']}": {
                "currency": one["IsoCode"],
                "rate": number(one["ConversionRate"]),
                "starts_on": day(one["StartDate"], self.facts.zone),
                "ends_on": day(one["NextStartDate"], self.facts.zone),
            }
            for one in self._of("DatedConversionRate")
        }

    def history(self) -> Tables:
        labels = {one["ApiName"]: one["MasterLabel"] for one in self._of("OpportunityStage")}
        moves: dict[str, list[Any]] = defaultdict(list)
        live = {one["Id"] for one in self._of("Opportunity")}
        rows = self._of("OpportunityHistory")
        for one in sorted(rows, key=lambda row: (row["CreatedDate"], row["Id"])):
            if one["OpportunityId"] in live:
                step = (instant(one["CreatedDate"]), labels[one["StageName"]])
                moves[f"Opportunity:{one['OpportunityId']}"].append(step)
        return history({deal: stays_of(many) for deal, many in moves.items()}, self.facts.zone)

    def activities(self) -> Table:
        tasks = {f"Task:{one['Id']}": self._task(one) for one in self._of("Task")}
        return tasks | {f"Event:{one['Id']}": self._event(one) for one in self._of("Event")}

    def _present(self, key: str | None) -> str | None:
        """Return the key of the record that stands for one today, after all merges."""
        merges = self.merges()
        while key in merges:
            key = merges[key]["new"]
        return key

    def _about(self, one: Row) -> Row:
        who, what = (self._present(_key(one[name])) for name in ("WhoId", "WhatId"))
        return {
            "subject": one["Subject"],
            "owner": self._user(one["OwnerId"]),
            "created_by": self._user(one["CreatedById"]),
            "who": who,
            "what": what,
            "deal": what if (what or "").startswith("Opportunity:") else None,
        }

    def _task(self, one: Row) -> Row:
        return self._about(one) | {
            "kind": _SUBTYPES.get(one["TaskSubtype"], "task"),
            "day": day(one["ActivityDate"], self.facts.zone),
            "done": one["IsClosed"],
            "starts_at": None,
            "completed_at": instant(one["CompletedDateTime"]),
            "call_direction": one["CallType"].lower() if one["CallType"] else None,
        }

    def _event(self, one: Row) -> Row:
        # The day of what lasts whole days names no hour, so it is the same in every zone.
        at = one["ActivityDate"] if one["IsAllDayEvent"] else one["StartDateTime"]
        return self._about(one) | {
            "kind": "meeting",
            "day": day(at, self.facts.zone),
            "starts_at": instant(one["StartDateTime"]),
            "ends_at": instant(one["EndDateTime"]),
        }

    def _person(self, one: Row) -> Row:
        return {
            "full_name": one["Name"],
            "email": one["Email"],
            "email_opt_out": one["HasOptedOutOfEmail"],
            "do_not_call": one["DoNotCall"],
            "email_bounced": bool(one.get("EmailBouncedDate") or one.get("EmailBouncedReason")),
            "owner": self._user(one["OwnerId"]),
            "created_by": self._user(one["CreatedById"]),
        }

    def contacts(self) -> Table:
        return {
            f"Contact:{one['Id']}": self._person(one)
            | {
                "company": self.accounts[one["AccountId"]]["Name"]
                if one["AccountId"] in self.accounts
                else None,
                "last_activity_on": day(one["LastActivityDate"], self.facts.zone),
            }
            for one in self._of("Contact")
        }

    def leads(self) -> Table:
        labels = self._answers.labels(self._name, "Lead", "Status")
        return {
            f"Lead:{one['Id']}": self._person(one)
            | {
                "status": labels.get(one["Status"], one["Status"]),
                "is_converted": one["IsConverted"],
                "converted_on": day(one["ConvertedDate"], self.facts.zone),
                "converted_contact": _key(one["ConvertedContactId"]),
                "company_name": one["Company"],
            }
            for one in self._of("Lead")
        }

    def users_table(self) -> Table:
        return {
            f"User:{key}": {
                "full_name": one["Name"],
                "is_active": one["IsActive"],
                "email": one["Email"],
                "role": (one.get("UserRole") or {}).get("Name"),
            }
            for key, one in self.users.items()
        }

    def products(self) -> Table:
        """The usual price is that of the standard price book in the org's main currency."""
        standard = {one["Id"] for one in self._of("Pricebook2") if one["IsStandard"]}
        prices = {
            one["Product2Id"]: number(one["UnitPrice"])
            for one in self._of("PricebookEntry")
            if one["Pricebook2Id"] in standard
            and one["CurrencyIsoCode"] == self.facts.currency
            and one["IsActive"]
        }
        return {
            f"Product2:{one['Id']}": {
                "name": one["Name"],
                "price": prices.get(one["Id"]),
                "currency": self.facts.currency if one["Id"] in prices else one["CurrencyIsoCode"],
            }
            for one in self._of("Product2")
        }

    def deal_contacts(self) -> Table:
        pairs: dict[str, Row] = {}
        for one in self._of("OpportunityContactRole"):
            key = f"Opportunity:{one['OpportunityId']}|Contact:{one['ContactId']}"
            pair = pairs.setdefault(key, {"roles": [], "is_primary": False})
            pair["roles"] = sorted({*pair["roles"], one["Role"]} - {None})
            pair["is_primary"] = pair["is_primary"] or one["IsPrimary"]
        return pairs

    def merges(self) -> Table:
        return {
            f"{obj}:{one['Id']}": {"new": f"{obj}:{one['MasterRecordId']}"}
            for obj in ("Account", "Contact", "Lead")
            for one in self._answers.gone(self._name, obj)
            if one.get("MasterRecordId")
        }

    def gone(self) -> Table:
        found: Table = {}
        for obj in (*_DELETED, "Task", "Event"):
            found |= absent(obj, (one["Id"] for one in self._answers.gone(self._name, obj)))
        return found


def _key(record: str | None) -> str | None:
    return f"{_PREFIX[record[:3]]}:{record}" if record else None
