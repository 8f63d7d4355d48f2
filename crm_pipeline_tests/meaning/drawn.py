"""A drawn world of plain rows that has what makes questions go wrong, more of it than CRMs have.

Moments near midnight, owners who left, queues and nobody, one stage name in two pipelines, rows of the history
that change an amount only, deals that are lost in their stage, archived or moved to another pipeline, several
currencies and deals without a rate, activities of several deals, shared addresses, links to deleted records,
activities that came to nothing or came from outside, people who refused and were deleted, fields with several
addresses, addresses that were not judged yet.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from crm_pipeline_tests.meaning.drawn_verdicts import judge
from crm_pipeline_tests.meaning.rows import Account, Row, Rows

NOW = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
"""Another day already in Sydney and Kolkata, not yet in Los Angeles."""

_ACCOUNTS = (
    Account("sales", "salesforce", "America/Los_Angeles", "USD"),
    Account("hub", "hubspot", "Australia/Sydney", "EUR"),
    Account("pipe", "pipedrive", "Asia/Kolkata", "GBP"),
    Account("zoho", "zoho", "Europe/Berlin", "EUR"),
)
_CONTACTS = 120
_BY_STATUS = "pipe"
_ASIDE = ("hub", "pipe")
"""Whose leads stand beside a contact, instead of being people themselves."""
_OUTCOMES = {
    "call": (None, "COMPLETED", "NO_ANSWER", "FAILED"),
    "email": ("SENT", "BOUNCED"),
    "meeting": (None, "COMPLETED", "CANCELED", "NO_SHOW", "SCHEDULED"),
    "task": ("Completed",),
    "note": (None,),
}
_WITHOUT_HISTORY = 0.15
_STAGES = ("Open", "Talk", "Offer")
_DAY = timedelta(days=1)


def drawn(seed: int = 12) -> Rows:
    """Draw the world; the same seed gives the same."""
    rows = Rows({account.connection: account for account in _ACCOUNTS}, NOW)
    rng = random.Random(seed)
    for account in _ACCOUNTS:
        _Crm(rows, account, rng).draw()
    judge(rows)
    return rows


class _Crm:
    """One CRM's part of the world."""

    def __init__(self, rows: Rows, account: Account, rng: random.Random) -> None:
        self.rows, self.account, self.rng = rows, account, rng
        self.name = account.connection

    def draw(self) -> None:
        self._users()
        self._pipelines()
        self._people()
        self._campaigns()
        for number in range(60):
            self._deal(number)
        self._activities()

    def key(self, kind: str, number: object) -> str:
        return f"{self.name}:{kind}:{number}"

    def row(self, **cells: object) -> Row:
        return {"connection": self.name, **cells}

    def chance(self, part: float) -> bool:
        return self.rng.random() < part

    def moment(self, days: float = 500) -> datetime:
        """Draw an instant of the last days, mostly near midnight in one of the zones."""
        midnight = datetime(2026, 11, 23, self.rng.choice((8, 13, 18, 23)), tzinfo=UTC)
        nearby = timedelta(minutes=self.rng.randrange(-90, 90))
        # Ends of months, and the end of the day 90 days ago, are more likely than other days.
        edges = (1, 2, 22, 23, 53, 54, 89, 90)
        others = (self.rng.randrange(1, int(days)) for _ in edges)
        back = self.rng.choice((*edges, *others))
        return min(midnight + nearby - _DAY * back, NOW)

    def _users(self) -> None:
        people = ("Ann Ash", "Bob Birch", "Cem Çelik", "Ann Ash")
        for number, full_name in enumerate(people):
            gone = number == 2
            row = self.row(user_key=self.key("U", number), full_name=full_name, is_active=not gone)
            self.rows.add("users_deleted" if gone else "users", [row])
        left = self.row(user_key=self.key("U", 4), email="left@x.co", is_active=False)
        self.rows.add("users", [left])

    def _owner(self) -> Row:
        number = self.rng.choice((0, 1, 2, 3, 4, "queue", None))
        if number is None:
            return {}
        key = None if number == "queue" else self.key("U", number)
        return {"owner_key": key, "owner_source_id": f"{number}"}

    def _pipelines(self) -> None:
        """Two pipelines with the same names of stages, in another order and with other probabilities."""
        for pipeline in ("first", "second"):
            key = self.key("P", pipeline)
            row = self.row(pipeline_key=key, label=f"The {pipeline}", for_table="deals")
            self.rows.add("pipelines", [row])
            names = list(_STAGES if pipeline == "first" else reversed(_STAGES))
            closing = [] if self.name == _BY_STATUS else ["Won", "Lost"]
            for position, name in enumerate([*names, *closing]):
                stage = self.row(
                    stage_key=f"{key}:{name}",
                    pipeline_key=key,
                    name=name,
                    label=name if name == "Talk" else f"{name}, {pipeline}",
                    position=position,
                    probability=100.0 if name == "Won" else 20.0 * position,
                    is_closed=name in closing,
                    is_won=name == "Won",
                )
                self.rows.add("stages", [stage])
        tickets = self.row(pipeline_key=self.key("P", "t"), label="Help", for_table="tickets")
        self.rows.add("pipelines", [tickets])

    def _people(self) -> None:
        rng = self.rng
        for number in range(8):
            company = self.row(company_key=self.key("A", number), name=f"Company {number}")
            self.rows.add("companies", [company])
        for number in range(_CONTACTS):
            email = rng.choice(
                (f"p{number}@x.co", f" P{number}@X.co", f"q{number % 7}@x.co", None, "none")
            )
            other = rng.choice((f"Q{number % 9}@x.co", f"P{number + 1}@x.co"))
            second = {"value": other, "label": "other", "is_primary": False}
            card = self.row(
                contact_key=self.key("C", number),
                full_name=rng.choice((None, f"Person {number % 30}", f"Üçel {number}")),
                title=rng.choice((None, "CEO")),
                email=email,
                emails=[second] if self.chance(0.3) else [],
                email_opt_out=rng.choice((None, True, *[False] * 8)),
                email_bounced=rng.choice((None, *[False] * 8, True)),
                is_quarantined=self.name == "hub" and self.chance(0.2),
                lawful_basis=rng.choice((None, "Consent", "Contract")),
                company_key=self.key("A", rng.randrange(9)) if self.chance(0.7) else None,
            )
            # A CRM keeps refusals of people who were deleted, under addresses that live on elsewhere.
            self.rows.add("contacts_deleted" if self.chance(0.1) else "contacts", [card])
        for number in range(40):
            table = "leads_deleted" if self.chance(0.1) else "leads"
            self.rows.add(table, [self._lead(number)])

    def _lead(self, number: int) -> Row:
        created = self.moment(120)
        converted = self.rng.choice((None, False, True)) if self.name != "hub" else None
        after = min(created + _DAY * self.rng.randrange(60), NOW)
        return self.row(
            lead_key=self.key("L", number),
            contact_key=self.key("C", self.rng.randrange(40)) if self.name in _ASIDE else None,
            source=self.rng.choice((None, "Web", "Fair")),
            created_at=created,
            is_converted=converted,
            converted_on=self.account.day(after) if converted else None,
            converted_contact_key=self.key("C", self.rng.randrange(40)) if converted else None,
            email=self.rng.choice((None, f"p{number}@x.co")),
            email_opt_out=self.rng.choice((None, False, False, True)),
            email_bounced=self.rng.choice((None, False, True)),
        )

    def _campaigns(self) -> None:
        for number in range(5):
            cost = self.rng.choice((None, Decimal(0), Decimal("123.45")))
            row = self.row(
                campaign_key=self.key("K", number),
                name=f"Campaign {number % 4}",
                actual_cost=cost,
                currency=self.rng.choice((None, self.account.currency, "JPY")),
            )
            self.rows.add("campaigns_deleted" if number == 4 else "campaigns", [row])
        for _ in range(80):
            is_lead = self.chance(0.3)
            person = self.rng.randrange(40)
            member = self.row(
                campaign_key=self.key("K", self.rng.randrange(5)),
                contact_key=None if is_lead else self.key("C", person),
                lead_key=self.key("L", person) if is_lead else None,
                has_responded=self.rng.choice((None, False, True, True)),
                first_responded_on=self.account.day(self.moment()) if self.chance(0.9) else None,
            )
            self.rows.add("campaign_members", [member])

    def _deal(self, number: int) -> None:
        rng = self.rng
        outcome = rng.choice(("open", "open", "won", "lost"))
        changes = [self.moment()]
        for _ in range(rng.randrange(5)):
            changes.append(changes[-1] + timedelta(hours=rng.randrange(1, 1500)))
        changes = [changes[0], *(moment for moment in changes[1:] if moment < NOW)]
        pipeline = self.key("P", rng.choice(("first", "second")))
        history = list(self._history(number, pipeline, outcome, changes))
        stage, now_in = history[-1]["stage"], history[-1]["pipeline_key"] or pipeline
        [label] = (
            known["label"]
            for known in self.rows.of("stages")
            if (known["pipeline_key"], known["name"]) == (now_in, stage)
        )
        deal = self.row(
            source_id=str(number),
            deal_key=self.key("D", number),
            name=f"Deal {number % 50}",
            **self._owner(),
            company_key=self.key("A", rng.randrange(9)),
            pipeline_key=now_in,
            stage=stage,
            stage_label=label,
            created_at=changes[0],
            stage_changed_at=changes[-1] if self.chance(0.9) else None,
            **self._state(outcome, changes[-1]),
            **self._worth(),
        )
        self.rows.add("deals", [deal])
        if not self.chance(_WITHOUT_HISTORY):
            self.rows.add("deal_stage_history", history)
        self._people_of(deal)

    def _state(self, outcome: str, last: datetime) -> Row:
        rng = self.rng
        is_over, is_lost = outcome != "open", outcome == "lost"
        unknown = not is_over and self.chance(0.05)
        expected = self.account.day(NOW + _DAY * rng.choice((-40, -1, 0, 1, 50)))
        has_moment = self.name == _BY_STATUS or self.chance(0.5)
        return {
            "close_date": self.account.day(last)
            if is_over
            else rng.choice((None, expected, expected)),
            "is_closed": None if unknown else is_over,
            "is_won": None if unknown else outcome == "won",
            "closed_at": last if is_over and has_moment else None,
            "lost_reason": rng.choice((None, "Price", " price", "", "No budget"))
            if is_lost
            else None,
            "is_archived": rng.choice((None, False, False, True))
            if self.name == _BY_STATUS
            else None,
        }

    def _worth(self) -> Row:
        rng = self.rng
        amount = rng.choice((None, Decimal("0.01"), Decimal(1000), Decimal("2500.5")))
        rate = rng.choice((None, Decimal(2)))
        return {
            "amount": amount,
            "currency": rng.choice(("EUR", "USD", None)),
            "amount_main": amount and rate and amount * rate,
            "rate_on": self.account.day(self.moment()) if rate and self.chance(0.5) else None,
            "probability": rng.choice((None, 35.0)),
            "source": rng.choice((None, "Web", "Fair")),
            "campaign_key": self.key("K", rng.randrange(5)) if self.chance(0.4) else None,
        }

    def _history(
        self, number: int, pipeline: str, outcome: str, changes: list[datetime]
    ) -> Iterator[Row]:
        """Yield a deal's history; some rows only change an amount, some deals change their pipeline."""
        stage = self.rng.choice(_STAGES)
        for step, changed_at in enumerate(changes):
            if self.chance(0.7):
                stage = self.rng.choice(_STAGES)
            if self.chance(0.1):
                pipeline = self.key("P", self.rng.choice(("first", "second")))
            is_last = step == len(changes) - 1
            if is_last and outcome != "open" and self.name != _BY_STATUS:
                stage = outcome.title()
            yield self.row(
                source_id=f"{number * 10 + step}",
                deal_stage_history_key=self.key("H", number * 10 + step),
                deal_key=self.key("D", number),
                pipeline_key=pipeline if self.chance(0.9) or step else None,
                stage=stage,
                amount=self.rng.choice((None, Decimal(700))),
                currency=self.rng.choice((None, "EUR", "PLN")),
                changed_at=changed_at,
            )

    def _people_of(self, deal: Row) -> None:
        for person in self.rng.sample(
            range(_CONTACTS + 2), self.rng.randrange(4)
        ):  # the last were deleted
            link = self.row(
                deal_key=deal["deal_key"],
                contact_key=self.key("C", person),
                roles=self.rng.choice((None, [], ["User"], ["User", "Buyer"])),
                is_primary=self.rng.choice((None, True, False)),
            )
            self.rows.add("deal_contacts", [link])

    def _activities(self) -> None:
        rng = self.rng
        for number in range(160):
            created = self.moment(160)
            later = created + timedelta(hours=rng.randrange(-20, 900))
            kind = rng.choice(("call", "email", "meeting", "task", "note"))
            deals = [self.key("D", one) for one in rng.sample(range(62), rng.choice((0, 1, 1, 2)))]
            leads = [self.key("L", one) for one in rng.sample(range(42), rng.choice((0, 1, 1, 2)))]
            activity = self.row(
                activity_key=self.key("T", number),
                activity_type=kind,
                is_closed=rng.choice((None, True, True, False)),
                completed_at=rng.choice((None, min(later, NOW))),
                starts_at=rng.choice((None, later)),
                created_at=created,
                deals=deals,
                leads=leads,
                contacts=[self.key("C", one) for one in rng.sample(range(40), rng.randrange(3))],
                **self._outcome(kind),
            )
            self.rows.add("activities", [activity])

    def _outcome(self, kind: str) -> Row:
        rng = self.rng
        calls = (None, "Outbound", "OUTBOUND", "INBOUND", "Missed")
        return {
            "status": rng.choice(_OUTCOMES[kind]),
            "call_direction": rng.choice(calls) if kind == "call" else None,
            "email_direction": rng.choice((None, "outbound", "inbound"))
            if kind == "email"
            else None,
        }
