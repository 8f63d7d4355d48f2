"""The two orgs: where they are, and in what their set-up differs; data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crm_sandbox.zoho.modules import ALL_MODULES
from crm_sandbox.zoho.schema import Field, Module


@dataclass(frozen=True)
class Pipeline:
    """A sales process: a name, and what the eight stages of the world are called in it."""

    name: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """One org.

    Attributes:
        centre: its data centre.
        prefix: what its ids begin with; see `ids.py`.
        zone: the time zone of the user that clients work as; its offset stands in every stamp.
        crm: the name that its cards are drawn under.
        fields: other API names, by module and field.
        modules: other API names of modules.
        lacks: fields that it has not, by module.
        carried: the currencies that its records carry; only its own, where none are named.
    """

    key: str
    centre: str
    prefix: int
    zone: str
    crm: str
    company: str
    currency: str
    pipelines: tuple[Pipeline, ...]
    fields: Mapping[tuple[str, str], str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    lacks: frozenset[tuple[str, str]] = frozenset()
    carried: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of all stages, each once."""
        return tuple(dict.fromkeys(name for one in self.pipelines for name in one.stages))

    def set_up(self) -> list[Module]:
        """Return the modules as this org has them."""
        return [self._module(one) for one in ALL_MODULES]

    def _module(self, module: Module) -> Module:
        fields = tuple(
            self._field(module.name, one)
            for one in module.fields
            if (module.name, one.name) not in self.lacks
        )
        name = self.modules.get(module.name, module.name)
        label = name.replace("_", " ")
        if name == module.name:
            return replace(module, fields=fields)
        return replace(
            module, name=name, table=module.name, singular=label, plural=label, fields=fields
        )

    def _field(self, module: str, one: Field) -> Field:
        name = self.fields.get((module, one.name), one.name)
        values = one.values
        if one.name in {"Stage", "Moved_To__s"} and module in {"Deals", "DealHistory"}:
            values = self.stages
        elif (module, one.name) == ("Deals", "Pipeline"):
            values = tuple(pipeline.name for pipeline in self.pipelines)
        label = one.label if name == one.name else name.replace("_", " ")
        return one.changed(name=name, label=label, values=values)


_STANDARD = Pipeline(
    "Standard (Standard)",
    (
        "Qualification",
        "Needs Analysis",
        "Value Proposition",
        "Identify Decision Makers",
        "Proposal/Price Quote",
        "Negotiation/Review",
        "Closed Won",
        "Closed Lost",
    ),
)
_RENEWALS = Pipeline(
    "Renewals",
    (
        "Renewal Due",
        "Contacted",
        "Value Review",
        "Identify Decision Makers",
        "Renewal Quote",
        "Negotiation/Review",
        "Closed Won",
        "Closed Lost",
    ),
)
_VERTRIEB = Pipeline(
    "Vertrieb",
    (
        "Anfrage",
        "Bedarf",
        "Wertangebot",
        "Entscheider",
        "Angebot",
        "Verhandlung",
        "Gewonnen",
        "Verloren",
    ),
)

MAIN = Account(
    "main",
    "us",
    5_725_767,
    "America/Los_Angeles",
    "zoho",
    "Sandbox Incorporated",
    "USD",
    (_STANDARD, _RENEWALS),
)
SECOND = Account(
    "second",
    "eu",
    389_160,
    "Europe/Berlin",
    "zoho second",
    "Sandbox Zwei GmbH",
    "EUR",
    (_VERTRIEB,),
    fields={
        ("Contacts", "Legacy_Code"): "Altsystem_Nummer",
        ("Contacts", "External_Key"): "Kundenschluessel",
        ("Contacts", "Tier"): "Stufe",
        ("Contacts", "Lifetime_Value"): "Kundenwert",
        ("Accounts", "External_Key"): "Firmenschluessel",
        ("Accounts", "Segment"): "Segment1",
        ("Leads", "External_Key"): "Leadschluessel",
        ("Service_Contracts", "Account"): "Firma",
        ("Service_Contracts", "Yearly_Fee"): "Jahresgebuehr",
    },
    modules={"Service_Contracts": "Wartungsvertraege"},
    lacks=frozenset(
        {
            ("Contacts", "Data_Processing_Basis_Details"),
            ("Leads", "Data_Processing_Basis_Details"),
            ("Contacts", "Badge_Number"),
        }
    ),
    carried=("EUR", "EUR", "USD", "GBP"),
)
ACCOUNTS = {one.key: one for one in (MAIN, SECOND)}
