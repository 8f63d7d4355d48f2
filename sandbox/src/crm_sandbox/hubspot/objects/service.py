"""Tickets, and the one object type that each portal defined itself."""

from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.objects.values import (
    EVERYWHERE,
    choose,
    day,
    instant,
    made,
    money,
    object_type,
    options,
    own,
    pick,
    rarely,
)
from crm_sandbox.hubspot.schema import ObjectType, Property

_PRIORITIES = options("LOW=Low", "MEDIUM=Medium", "HIGH=High", "URGENT=Urgent")
_CATEGORIES = options(
    "PRODUCT_ISSUE=Product issue",
    "BILLING_ISSUE=Billing issue",
    "FEATURE_REQUEST=Feature request",
    "GENERAL_INQUIRY=General inquiry",
)
_SOURCES = options("CHAT=Chat", "EMAIL=Email", "FORM=Form", "PHONE=Phone")


_ABOUT_TICKETS = (
    Property(
        "subject",
        "string",
        pick(
            "r1",
            [
                "Cannot log in",
                "Rechnung falsch",
                "Où est ma commande ?",
                "Question, urgent",
            ],
        ),
    ),
    Property(
        "content",
        "string",
        pick("r2", ["Please help", "It fails\nsince Monday", None]),
        "textarea",
    ),
    Property("hs_pipeline", "enumeration", "pipeline_id", more={"externalOptions": True}),
    Property("hs_pipeline_stage", "enumeration", "stage_id", more={"externalOptions": True}),
    Property(
        "hs_ticket_priority",
        "enumeration",
        choose("r3", _PRIORITIES, empty=1),
        options=_PRIORITIES,
    ),
    Property(
        "hs_ticket_category",
        "enumeration",
        choose("r4", _CATEGORIES, empty=1),
        "checkbox",
        options=_CATEGORIES,
    ),
    Property("source_type", "enumeration", choose("r5", _SOURCES), options=_SOURCES),
    Property("closed_date", "datetime", "CASE WHEN closed THEN " + instant("updated_ms") + " END"),
    Property("hs_is_closed", "bool", "closed::VARCHAR", calculated=True),
    Property(
        "time_to_close",
        "number",
        "CASE WHEN closed THEN (updated_ms - created_ms)::VARCHAR END",
        calculated=True,
    ),
)


def tickets(portal: PortalFacts) -> ObjectType:
    """Return the tickets of a portal."""
    return object_type(
        "0-5",
        "tickets",
        "ticket",
        (
            *_ABOUT_TICKETS,
            made(
                own(portal, "product_area", "bereich"), "string", pick("r6", ["App", "API", "N/A"])
            ),
            made(
                own(portal, "satisfaction", "zufriedenheit"),
                "number",
                pick("r1", ["1", "2", "3", "4", "5", None]),
            ),
            *EVERYWHERE,
        ),
        "content createdate hs_lastmodifieddate hs_object_id hs_pipeline hs_pipeline_stage "
        "hs_ticket_category hs_ticket_priority subject",
        primary="subject",
        searched="subject content hs_ticket_category",
        required=("subject", "hs_pipeline_stage"),
        pipeline="hs_pipeline",
        stage="hs_pipeline_stage",
        scope="tickets",
        mergeable=True,
    )


def assets(portal: PortalFacts) -> ObjectType:
    """Return the object type that a portal made itself: machines in one, vehicles in the other."""
    name, singular = own(portal, "machines", "vehicles"), own(portal, "machine", "vehicle")
    return object_type(
        own(portal, "2-3800001", "2-7100005"),
        name,
        singular,
        (*_own_of_assets(portal), *EVERYWHERE),
        f"hs_createdate hs_lastmodifieddate hs_object_id {own(portal, 'serial_number', 'kennzeichen')}",
        primary=own(portal, "serial_number", "kennzeichen"),
        searched=own(portal, "serial_number model", "kennzeichen modell"),
        required=(own(portal, "serial_number", "kennzeichen"),),
        scope="crm.objects.custom",
        custom=True,
        full_name=f"p{portal.hub_id}_{name}",
        label=singular.capitalize(),
    )


def _own_of_assets(portal: PortalFacts) -> tuple[Property, ...]:
    states = options("running=Running", "stopped=Stopped", "scrapped=Scrapped")
    return (
        made(
            own(portal, "serial_number", "kennzeichen"),
            "string",
            "'S' || lpad(i::VARCHAR, 8, '0')",
            unique=True,
        ),
        made(
            own(portal, "model", "modell"),
            "string",
            pick("r1", ["Alpha", "Bêta", "Γάμμα", "42"]),
        ),
        made(own(portal, "state", "zustand"), "enumeration", choose("r2", states), options=states),
        made(own(portal, "price", "preis"), "number", money("r3 % 1000000 / 100.0")),
        made(own(portal, "bought_on", "gekauft"), "date", day("created_ms")),
        made(
            own(portal, "serviced_at", "gewartet"),
            "datetime",
            rarely("r4", 2, instant("updated_ms")),
        ),
        made(own(portal, "is_leased", "geleast"), "bool", pick("r1", ["true", "false"])),
    )
