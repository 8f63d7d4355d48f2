"""Deals, leads, products, line items and quotes."""

from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.currencies import rate_sql
from crm_sandbox.hubspot.objects.values import (
    EVERYWHERE,
    OWNER,
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

_DEAL_TYPES = options("newbusiness=New Business", "existingbusiness=Existing Business")
_PRIORITIES = options("low=Low", "medium=Medium", "high=High")
_FORECASTS = options(
    "OMIT=Not forecasted",
    "PIPELINE=Pipeline",
    "BEST_CASE=Best case",
    "COMMIT=Commit",
    "CLOSED=Closed won",
)
_SERVICES = options(
    "setup=Set-up", "training=Training", "support=Support", "migration=Migration, data"
)


def deals(portal: PortalFacts) -> ObjectType:
    """Return the deals of a portal."""
    return object_type(
        "0-3",
        "deals",
        "deal",
        (*_ABOUT_DEALS, _at_home(portal), *EVERYWHERE, *_own_of_deals(portal)),
        "amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline",
        primary="dealname",
        searched="dealname pipeline dealstage description dealtype",
        required=("dealname", "dealstage"),
        pipeline="pipeline",
        stage="dealstage",
        scope="crm.objects.deals",
        mergeable=True,
    )


_ABOUT_DEALS = (
    Property("dealname", "string", "name", label="Deal Name"),
    Property("amount", "number", money("amount")),
    Property("deal_currency_code", "enumeration", "currency", more={"externalOptions": True}),
    Property("dealstage", "enumeration", "stage_id", "radio", more={"externalOptions": True}),
    Property("pipeline", "enumeration", "pipeline_id", more={"externalOptions": True}),
    Property("closedate", "datetime", instant("close_ms")),
    Property(
        "dealtype", "enumeration", choose("r1", _DEAL_TYPES, empty=1), "radio", options=_DEAL_TYPES
    ),
    Property("description", "string", rarely("r2", 5, "'Offer for ' || name"), "textarea"),
    Property("hs_priority", "enumeration", choose("r3", _PRIORITIES, empty=2), options=_PRIORITIES),
    Property("hs_is_closed", "bool", "closed::VARCHAR", calculated=True),
    Property("hs_is_closed_won", "bool", "won::VARCHAR", calculated=True),
    Property("hs_deal_stage_probability", "number", "probability::VARCHAR", calculated=True),
    Property("hs_projected_amount", "number", money("amount * probability"), calculated=True),
    Property(
        "hs_v2_date_entered_current_stage", "datetime", instant("entered_ms"), calculated=True
    ),
    Property(
        "hs_manual_forecast_category",
        "enumeration",
        choose("r6", _FORECASTS, empty=2),
        options=_FORECASTS,
    ),
    Property(
        "hs_analytics_source",
        "enumeration",
        pick("r5", ["OFFLINE", "PAID_SEARCH", None]),
        read_only=True,
    ),
    Property(
        "notes_last_updated", "datetime", rarely("r3", 2, instant("updated_ms")), read_only=True
    ),
    Property(
        "closed_lost_reason", "string", "CASE WHEN closed AND NOT won THEN 'Price' END", "textarea"
    ),
    Property("closed_won_reason", "string", "CASE WHEN won THEN 'Fit; reference' END", "textarea"),
    Property("num_associated_contacts", "number", "contact_count::VARCHAR", calculated=True),
    Property("hs_forecast_amount", "number", money("amount")),
    Property("hs_next_step", "string", rarely("r4", 4, "'Call back\nand send offer'")),
)


def _at_home(portal: PortalFacts) -> Property:
    value = money(f"round(amount * {rate_sql('currency', portal.currency)}, 2)")
    return Property("amount_in_home_currency", "number", value, calculated=True)


def _own_of_deals(portal: PortalFacts) -> tuple[Property, ...]:
    services = pick("r5", ["setup", "setup;training", "support;migration", None])
    return (
        made(
            own(portal, "order_number", "auftragsnummer"),
            "string",
            "'O-' || lpad(i::VARCHAR, 7, '0')",
            unique=True,
        ),
        made(
            own(portal, "services", "leistungen"),
            "enumeration",
            services,
            field_type="checkbox",
            options=_SERVICES,
        ),
        made(
            own(portal, "monthly_value", "monatswert"),
            "number",
            money("round(amount / 12.0, 2)"),
            more={"showCurrencySymbol": True},
        ),
        made(
            own(portal, "renewal_date", "ablauf"), "date", rarely("r6", 2, day("close_ms", "365"))
        ),
        made(
            own(portal, "is_strategic", "strategisch"), "bool", pick("r1", ["true", "false", None])
        ),
        made(own(portal, "discount_rate", "rabatt"), "number", "(r2 % 40 / 100.0)::VARCHAR"),
    )


def leads(portal: PortalFacts) -> ObjectType:
    """Return the leads of a portal; each is about a contact."""
    kinds = options("NEW_BUSINESS=New business", "UPSELL=Upsell", "RE_ATTEMPTING=Re-attempting")
    labels = options("HOT=Hot", "WARM=Warm", "COLD=Cold")
    return object_type(
        "0-136",
        "leads",
        "lead",
        (
            Property("hs_lead_name", "string", "name"),
            Property("hs_lead_type", "enumeration", choose("r1", kinds, empty=1), options=kinds),
            Property("hs_lead_label", "enumeration", choose("r2", labels, empty=1), options=labels),
            Property("hs_pipeline", "enumeration", "pipeline_id", more={"externalOptions": True}),
            Property(
                "hs_pipeline_stage", "enumeration", "stage_id", more={"externalOptions": True}
            ),
            Property("hs_primary_contact_id", "number", "contact_id", read_only=True),
            Property(
                "hs_lead_source",
                "enumeration",
                pick("r3", ["OFFLINE", "ORGANIC_SEARCH", None]),
                read_only=True,
            ),
            made(
                own(portal, "region", "vertriebsgebiet"),
                "string",
                pick("r4", ["North", "South", "NA", ""]),
            ),
            *EVERYWHERE,
        ),
        "hs_createdate hs_lastmodifieddate hs_lead_name hs_object_id",
        primary="hs_lead_name",
        searched="hs_lead_name",
        required=("hs_lead_name",),
        pipeline="hs_pipeline",
        stage="hs_pipeline_stage",
        scope="crm.objects.leads",
    )


def products(portal: PortalFacts) -> ObjectType:
    """Return the products of a portal."""
    return object_type(
        "0-7",
        "products",
        "product",
        (
            Property("name", "string", "name"),
            Property("description", "string", rarely("r1", 2, "'About ' || name"), "textarea"),
            Property("price", "number", money("price")),
            Property("hs_sku", "string", "code"),
            Property("hs_cost_of_goods_sold", "number", money("round(price * 0.6, 2)")),
            Property(
                "recurringbillingfrequency",
                "enumeration",
                pick("r2", ["monthly", "annually", None]),
                options=options("monthly=Monthly", "annually=Annually"),
            ),
            made(own(portal, "warehouse", "lager"), "string", pick("r3", ["01", "02", "1e5"])),
            *EVERYWHERE[1:],
        ),
        "createdate description hs_lastmodifieddate hs_object_id name price",
        primary="name",
        searched="name description price hs_sku",
        scope="e-commerce",
    )


_IS_CHEAPER = "r1 % 6 = 0 AND r2 % 7 <> 0"
# The amount of a line is net: what is left of its prices after the discount.
_PRICE = f"""round(
    (total / quantity + CASE WHEN {_IS_CHEAPER} THEN 5 ELSE 0 END) / CASE WHEN r2 % 7 = 0 THEN 0.9 ELSE 1 END, 4
)"""


def line_items(portal: PortalFacts) -> ObjectType:
    """Return the line items of a portal."""
    return object_type(
        "0-8",
        "line_items",
        "line_item",
        (
            Property("name", "string", "name"),
            Property("hs_product_id", "number", "product_id"),
            Property("hs_sku", "string", "code"),
            Property("quantity", "number", "quantity::VARCHAR"),
            Property("price", "number", money(_PRICE)),
            Property("amount", "number", money("total"), calculated=True),
            Property("description", "string", rarely("r2", 3, "'About ' || name"), "textarea"),
            # Off each one, in money or in percent: a line has one of them.
            Property("discount", "number", f"CASE WHEN {_IS_CHEAPER} THEN '5' END"),
            Property("hs_discount_percentage", "number", rarely("r2", 7, "'10'")),
            Property("hs_line_item_currency_code", "enumeration", "currency"),
            Property("hs_position_on_quote", "number", "position::VARCHAR"),
            made(own(portal, "delivery_week", "lieferwoche"), "string", "(r2 % 52 + 1)::VARCHAR"),
            *EVERYWHERE[1:],
        ),
        "createdate hs_lastmodifieddate hs_object_id hs_product_id quantity",
        primary="name",
        searched="name hs_sku",
        scope="crm.objects.line_items",
    )


def quotes(portal: PortalFacts) -> ObjectType:
    """Return the quotes of a portal."""
    status = options(
        "DRAFT=Draft",
        "APPROVAL_NOT_NEEDED=No approval needed",
        "APPROVED=Approved",
        "REJECTED=Rejected",
    )
    return object_type(
        "0-14",
        "quotes",
        "quote",
        (
            Property("hs_title", "string", "name"),
            Property("hs_expiration_date", "date", day("created_ms", "30")),
            Property("hs_status", "enumeration", choose("r1", status), options=status),
            Property("hs_quote_amount", "number", money("amount"), calculated=True),
            Property("hs_currency", "enumeration", "currency"),
            Property("hs_language", "enumeration", pick("r2", ["en", "de", "fr"])),
            Property("hs_terms", "string", rarely("r3", 2, "'Net 30'"), "textarea"),
            # What the public page of a quote is found by.
            Property(
                "hs_public_url_key", "string", "md5('quote ' || i || ' ' || r1)", read_only=True
            ),
            made(
                own(portal, "approved_by", "freigabe"), "string", pick("r4", ["Ada", "Omar", None])
            ),
            OWNER,
            *EVERYWHERE[1:],
        ),
        "hs_createdate hs_expiration_date hs_lastmodifieddate hs_object_id hs_title",
        primary="hs_title",
        searched="hs_title",
        required=("hs_title", "hs_expiration_date"),
        scope="crm.objects.quotes",
    )
