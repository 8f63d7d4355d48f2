"""How the companies differ: pipelines, custom fields, settings. Data only."""

from dataclasses import dataclass, field

_PERCENT = (10, 20, 35, 50, 75, 90)
_BERLIN = "'timezone_id': 50, 'timezone_name': 'Europe/Berlin'"
_CLOCK = "lpad(({0} % 24)::VARCHAR, 2, '0') || ':' || lpad(({1} % 60)::VARCHAR, 2, '0') || ':00'"


@dataclass(frozen=True)
class CustomSpec:
    """A custom field of the first population.

    Attributes:
        sql: its value over the staged columns; `$o` is the list of the option ids.
        labels: of the options.
        lead_sql: its value in leads, which inherit the custom fields of deals.
    """

    entity: str
    name: str
    type: str
    sql: str
    labels: tuple[str, ...] = ()
    lead_sql: str = "NULL"


@dataclass(frozen=True)
class PipelineSpec:
    """A pipeline and its open stages; won and lost are no stages here."""

    name: str
    stages: tuple[str, ...]

    def probability(self, position: int) -> int:
        """Return the chance of winning in percent at a stage, counted from 0."""
        return _PERCENT[position * len(_PERCENT) // len(self.stages)]


@dataclass(frozen=True)
class Plan:
    """What one company was set up like.

    Attributes:
        crm: the topic under which the world draws its cards.
        first_user: the number of its first user; users are numbered over all companies.
        first_option: the number of the first option of its custom fields.
        contact_sync: whether persons carry what only contact sync fills.
        marketing: whether the marketing app is there.
        time_zone: of its users, whose days the company's are.
        currency: of its users.
        roles: names of roles, by number from 1; users have one after the other.
        teams: name of each team, and every how manieth user belongs to it.
    """

    name: str
    crm: str
    first_user: int
    first_option: int
    pipelines: tuple[PipelineSpec, ...]
    custom: tuple[CustomSpec, ...]
    contact_sync: bool = False
    marketing: bool = True
    activity_types: tuple[str, ...] = ("call", "meeting", "task", "deadline", "email", "lunch")
    lead_labels: tuple[str, ...] = ("Hot", "Warm", "Cold")
    time_zone: str = "Europe/Tallinn"
    currency: str = "EUR"
    roles: tuple[str, ...] = ("(Unassigned users)", "Sales manager", "Account executive")
    teams: tuple[tuple[str, int], ...] = (("Closers", 2), ("Berlin office", 3))
    settings: dict[str, str] = field(default_factory=dict)


def _spec(
    entity: str, name: str, kind: str, sql: str, *labels: str, lead: str = "NULL"
) -> CustomSpec:
    return CustomSpec(entity, name, kind, sql, labels, lead)


_OF_EVERY_TYPE = (
    _spec(
        "persons", "Legacy code", "varchar", "coalesce(nasty, lpad((r4 % 100000)::VARCHAR, 6, '0'))"
    ),
    _spec(
        "persons",
        "Background",
        "text",
        "CASE WHEN long_text THEN getvariable('long_text') WHEN r4 % 10 = 0 THEN 'Met in ' || city || chr(10) || coalesce(nasty, '👍') WHEN r4 % 10 = 1 THEN '' END",
    ),
    _spec("persons", "Job title", "varchar_auto", "title"),
    _spec("persons", "Score", "double", "CASE WHEN r7 % 9 > 0 THEN (r7 % 1000) / 10.0 END"),
    _spec("persons", "Assistant's phone", "phone", "CASE WHEN r8 % 11 = 0 THEN phone END"),
    _spec(
        "persons",
        "Member since",
        "date",
        "CASE WHEN r3 % 4 > 0 THEN created::DATE - (r3 % 900)::INTEGER END",
    ),
    _spec(
        "persons",
        "Contract period",
        "daterange",
        "CASE WHEN r5 % 5 = 0 THEN {'value': created::DATE, 'until': CASE WHEN r5 % 2 = 0 THEN created::DATE + 365 END} END",
    ),
    _spec(
        "persons",
        "Best time to call",
        "time",
        "CASE WHEN r6 % 6 = 0 THEN {'value': "
        + _CLOCK.format("r6", "r7")
        + ", "
        + _BERLIN
        + "} END",
    ),
    _spec(
        "persons",
        "Office hours",
        "timerange",
        "CASE WHEN r6 % 8 = 0 THEN {'value': '09:00:00', 'until': '17:30:00', " + _BERLIN + "} END",
    ),
    _spec(
        "persons",
        "Interests",
        "set",
        "CASE WHEN r8 % 4 = 0 THEN NULL WHEN r8 % 4 = 1 THEN [$o[1 + r5 % 5]] ELSE [$o[1], $o[3]] END",
        "Analytics",
        "CRM",
        "Data; Governance",
        "Marketing, Events",
        "Support",
    ),
    _spec(
        "persons",
        "Tier",
        "enum",
        "CASE WHEN r7 % 5 > 0 THEN $o[1 + r7 % 4] END",
        "Gold",
        "Silver",
        "Bronze",
        "Übrige",
    ),
    _spec("persons", "Do not call", "enum", "CASE WHEN do_not_call THEN $o[1] END", "Yes"),
    _spec(
        "persons",
        "Lifetime value",
        "monetary",
        "CASE WHEN r6 % 5 > 0 THEN {'value': (r6 % 9000000) / 100.0, 'currency': currency} END",
    ),
    _spec(
        "persons",
        "Home address",
        "address",
        "CASE WHEN r2 % 9 = 0 THEN {'value': concat_ws(', ', street, city, country), 'country': country, 'admin_area_level_1': region, 'admin_area_level_2': NULL, 'locality': city, 'sublocality': NULL, 'route': street, 'street_number': NULL, 'subpremise': NULL, 'postal_code': postal_code} END",
    ),
    _spec(
        "persons",
        "Former employer",
        "org",
        "CASE WHEN r3 % 13 = 0 THEN 1 + r3 % $organizations END",
    ),
    _spec("persons", "Referred by", "people", "CASE WHEN r4 % 12 = 0 THEN 1 + r4 % $contacts END"),
    _spec("persons", "Account manager", "user", "CASE WHEN r5 % 3 = 0 THEN owner_id END"),
)

MAIN = Plan(
    "main",
    "pipedrive",
    11_000_001,
    41,
    (
        PipelineSpec(
            "Sales",
            (
                "Lead in",
                "Contact made",
                "Needs defined",
                "Proposal made",
                "Negotiations started",
                "Contract sent",
            ),
        ),
        PipelineSpec("Partners", ("Applied", "In review", "Onboarding")),
    ),
    (
        *_OF_EVERY_TYPE,
        _spec(
            "organizations",
            "Segment",
            "enum",
            "CASE WHEN employees > 1000 THEN $o[3] WHEN employees > 100 THEN $o[2] ELSE $o[1] END",
            "SMB",
            "Mid-Market",
            "Enterprise",
        ),
        _spec(
            "organizations",
            "VAT number",
            "varchar",
            "CASE WHEN r3 % 2 = 0 THEN country_code || lpad((r3 % 100000000)::VARCHAR, 9, '0') END",
        ),
        _spec(
            "organizations", "Customer since", "date", "CASE WHEN r2 % 2 = 0 THEN created::DATE END"
        ),
        _spec("organizations", "Main phone", "phone", "phone"),
        _spec(
            "organizations",
            "Credit limit",
            "monetary",
            "CASE WHEN r5 % 3 = 0 THEN {'value': (r5 % 500) * 100.0, 'currency': currency} END",
        ),
        _spec("deals", "Margin", "double", "CASE WHEN r4 % 4 > 0 THEN (r4 % 400) / 10.0 END"),
        _spec(
            "deals",
            "Source",
            "enum",
            "$o[1 + r5 % 3]",
            *("Web", "Trade fair", "Empfehlung"),
            lead="CASE WHEN r2 % 2 = 0 THEN $o[1 + r5 % 3] END",
        ),
        _spec(
            "deals",
            "Products of interest",
            "set",
            "CASE WHEN r6 % 3 = 0 THEN [$o[1], $o[2]] END",
            *("Seats", "Sensors", "Workshops"),
            lead="CASE r2 % 3 WHEN 0 THEN [$o[3], $o[1]] WHEN 1 THEN [$o[2]] END",
        ),
        _spec(
            "deals",
            "Setup fee",
            "monetary",
            "CASE WHEN r3 % 3 = 0 THEN {'value': (r3 % 90) * 50.0, 'currency': currency} END",
            lead="CASE WHEN r3 % 4 = 0 THEN {'value': (r3 % 90) * 50.0, 'currency': currency} END",
        ),
        _spec(
            "deals",
            "Delivery window",
            "daterange",
            "CASE WHEN r2 % 6 = 0 THEN {'value': close_at::DATE, 'until': close_at::DATE + 14} END",
        ),
        _spec(
            "deals",
            "Purchase order",
            "varchar",
            "CASE WHEN r2 % 3 = 0 THEN lpad((r2 % 1000000)::VARCHAR, 8, '0') END",
        ),
        _spec("products", "Warranty", "double", "CASE WHEN r3 % 2 = 0 THEN 24.0 END"),
        _spec(
            "products", "Supplier", "org", "CASE WHEN r4 % 4 = 0 THEN 1 + r4 % $organizations END"
        ),
    ),
)

SECOND = Plan(
    "second",
    "pipedrive second",
    22_000_001,
    301,
    (
        PipelineSpec("Vertrieb", ("Neu", "Kontaktiert", "Angebot", "Verhandlung")),
        PipelineSpec("Renewals", ("Due", "Proposed", "Agreed")),
        PipelineSpec("Tenders", ("Found", "Written", "Submitted", "Shortlisted", "Last talk", "Award")),
    ),
    (
        _spec("persons", "Position", "varchar", "title"),
        _spec("persons", "Abteilung", "enum", "$o[1 + r2 % 3]", "Einkauf", "IT", "Geschäftsführung"),
        _spec("persons", "Kundennummer", "varchar", "coalesce(nasty, 'K-' || lpad((r4 % 100000)::VARCHAR, 6, '0'))"),
        _spec("persons", "Newsletter", "set", "CASE WHEN r5 % 2 = 0 THEN [$o[1 + r5 % 2]] END", "Monthly", "Product news"),
        _spec("organizations", "Umsatz", "monetary", "CASE WHEN r4 % 5 > 0 THEN {'value': revenue, 'currency': currency} END"),
        _spec("organizations", "Vertriebsgebiet", "enum", "$o[1 + r3 % 4]", "Nord", "Süd", "Ost", "West"),
        _spec("deals", "Rabatt", "double", "CASE WHEN r4 % 4 > 0 THEN (r4 % 300) / 10.0 END"),
        _spec("deals", "Anlass", "enum", "$o[1 + r5 % 2]", "Messe", "Anruf", lead="$o[1 + r5 % 2]"),
    ),
    contact_sync=True,
    activity_types=("call", "meeting", "task", "email"),
    lead_labels=("Heiß", "Kalt"),
    time_zone="America/Los_Angeles",
    currency="USD",
    roles=("(Unassigned users)", "Vertriebsleitung"),
    teams=(("Innendienst", 4),),
)  # fmt: skip

PLANS = {one.name: one for one in (MAIN, SECOND)}
