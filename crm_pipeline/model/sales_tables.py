"""Selling as tables of data: deals and what belongs to them, products, pipelines, exchange rates."""

from crm_pipeline.model.people_tables import CURRENCY, OWNER
from crm_pipeline.model.table import (
    MONEY,
    Column,
    Rule,
    Table,
    day,
    flag,
    instant,
    money,
    number,
    reference,
    stage_label,
    text,
    whole,
)

_PERCENT = Rule("between", "probability", low=0, high=100)
_PROBABILITY = number("probability", "Chance of winning in percent.")
_FORECAST = text("forecast_category", "Category in which the CRM's forecast counts it.")
_CLOSE = day("close_date", "Day on which it was closed, or is expected to be.")

DEALS = Table(
    "deals",
    "deal",
    "Opportunities, one row per deal record.",
    (
        text("name", "Name."),
        *reference("company", "companies", "The company that buys."),
        *reference("primary_contact", "contacts", "The main contact, where the CRM names one."),
        *OWNER,
        *reference("campaign", "campaigns", "The campaign that the deal is credited to."),
        *reference("pipeline", "pipelines", "The pipeline that the deal moves through."),
        text("stage", "Current stage; joins stages.name of the same connection and pipeline."),
        stage_label("stage"),
        money("amount", "Amount."),
        money("expected_revenue", "Amount weighted by probability, as the CRM computes it."),
        CURRENCY,
        _PROBABILITY,
        number("quantity", "Total quantity."),
        _CLOSE,
        flag("is_closed", "Whether the deal is closed, won or lost."),
        flag("is_won", "Whether the deal is won."),
        _FORECAST,
        text("deal_type", "Kind of deal, such as new or existing business."),
        text("source", "Where the deal came from."),
        text("next_step", "Next step as entered."),
        text("description", "Free text."),
        instant("stage_changed_at", "When the deal entered its current stage."),
        day("last_activity_on", "Day of the latest activity that the CRM counts."),
    ),
    (
        Rule("required", "name"),
        Rule("required", "stage"),
        Rule("required", "close_date"),
        _PERCENT,
        Rule("between", "amount", low=0),
        Rule("implies", "is_won", other="is_closed"),
    ),
)

DEAL_STAGE_HISTORY = Table(
    "deal_stage_history",
    "deal_stage_history",
    "One row per change of a deal's stage, amount, probability or close date, as the CRM kept it.",
    (
        *reference("deal", "deals", "The deal that changed."),
        text("stage", "Stage after the change."),
        stage_label("stage", within=""),
        money("amount", "Amount after the change."),
        money("expected_revenue", "Weighted amount after the change."),
        CURRENCY,
        _PROBABILITY,
        _CLOSE,
        _FORECAST,
        instant("changed_at", "When the change was made."),
        *reference("changed_by", "users", "The user who made the change."),
    ),
    (Rule("required", "deal_key"), Rule("required", "changed_at"), _PERCENT),
)

DEAL_LINE_ITEMS = Table(
    "deal_line_items",
    "deal_line_item",
    "Products within deals.",
    (
        *reference("deal", "deals", "The deal."),
        *reference("product", "products", "The product."),
        text("name", "Name of the line."),
        text("product_code", "Code of the product."),
        Column("quantity", MONEY, "Quantity."),
        money("unit_price", "Price of one, as sold."),
        money("list_price", "Price of one in the price book."),
        number("discount", "Discount in percent."),
        money("total_price", "Price of the line."),
        CURRENCY,
        day("service_date", "Day of delivery."),
        whole("position", "Place in the deal."),
        text("description", "Free text."),
    ),
    (Rule("required", "deal_key"),),
)

PRODUCTS = Table(
    "products",
    "product",
    "What is sold.",
    (
        text("name", "Name."),
        text("product_code", "Code."),
        text("sku", "Stock keeping unit."),
        text("family", "Product family."),
        text("unit", "Unit of the quantity."),
        flag("is_active", "Whether it is sold at present."),
        CURRENCY,
        text("description", "Free text."),
    ),
    (Rule("required", "name"),),
)

PIPELINES = Table(
    "pipelines",
    "pipeline",
    "Sequences of stages. A CRM without named pipelines has one, called default.",
    (
        text("name", "Name."),
        text("label", "Name as people see it."),
        text("for_table", "Table of what moves through it: deals, tickets or leads."),
        flag("is_default", "Whether deals without a pipeline belong here."),
    ),
    (Rule("required", "name"),),
)

STAGES = Table(
    "stages",
    "stage",
    "Stages of pipelines.",
    (
        *reference("pipeline", "pipelines", "The pipeline."),
        text("name", "Name as deals carry it in deals.stage."),
        text("label", "Name as people see it."),
        whole("position", "Place in the pipeline, lowest first."),
        _PROBABILITY,
        flag("is_closed", "Whether deals in this stage are closed."),
        flag("is_won", "Whether deals in this stage are won."),
        flag("is_active", "Whether the stage is in use."),
        _FORECAST,
        text("description", "Free text."),
    ),
    (Rule("required", "name"), _PERCENT, Rule("implies", "is_won", other="is_closed")),
)

EXCHANGE_RATES = Table(
    "exchange_rates",
    "exchange_rate",
    "Currency rates as the CRM holds them.",
    (
        CURRENCY,
        Column("rate", "DECIMAL(24,12)", "Units of this currency for one of the main currency."),
        day("starts_on", "First day of the rate; NULL where the CRM keeps no dates."),
        day("ends_on", "First day on which the rate no longer holds."),
        flag("is_main", "Whether this is the main currency."),
    ),
    (Rule("required", "currency"), Rule("between", "rate", low=0)),
)
