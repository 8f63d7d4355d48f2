"""Tables of sales: deals with their history and line items, products, pipelines, exchange rates."""

from crm_pipeline.model.people_tables import CURRENCY, OWNER
from crm_pipeline.model.table import (
    CREATED_BY,
    LAST_ACTIVITY,
    MONEY,
    PAGE,
    PRECISE,
    Column,
    Rule,
    Table,
    account_day,
    day,
    flag,
    instant,
    looked_up,
    money,
    number,
    price,
    reference,
    stage_label,
    text,
    user_reference,
    whole,
)

_PERCENT = Rule("between", "probability", low=0, high=100)
_PROBABILITY = number("probability", "Chance of winning in percent.")
_FORECAST = text("forecast_category", "Category in which the CRM's forecast counts it.")
_CLOSE = account_day("close_date", "Day on which it was closed, or is expected to be.")

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
        Column(
            "amount_main",
            MONEY,
            "Amount in the account's main currency (ops.connections); NULL where no rate is known.",
        ),
        day(
            "rate_on", "First day of the rate that amount_main was made with, where rates have one."
        ),
        _PROBABILITY,
        number("quantity", "Total quantity."),
        _CLOSE,
        flag("is_closed", "Whether the deal is closed, won or lost."),
        flag("is_won", "Whether the deal is won."),
        instant(
            "closed_at",
            "When it was closed. Salesforce and Zoho do not say it: there it is the last change of stage, so count "
            "days with `close_date`.",
        ),
        text("lost_reason", "Why it was lost."),
        flag("is_archived", "Whether the deal is put aside though not deleted."),
        _FORECAST,
        text("deal_type", "Kind of deal, such as new or existing business."),
        text("source", "Where the deal came from."),
        text("next_step", "Next step as entered."),
        text("description", "Free text."),
        instant("stage_changed_at", "When the deal entered its current stage."),
        *LAST_ACTIVITY,
        *CREATED_BY,
        PAGE,
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

_STAYS = """
WITH whole AS (SELECT * FROM {rows}),
-- Only what counts goes through the windows: rows are wide.
moves AS (
    SELECT deal_stage_history_key, deal_key, is_deleted, changed_at, source_id,
        stage IS DISTINCT FROM lag(stage) OVER deal AS is_move
    FROM whole
    WHERE deal_key IS NOT NULL
    WINDOW deal AS (PARTITION BY deal_key, is_deleted ORDER BY changed_at, length(source_id), source_id)
),
numbered AS (
    SELECT deal_stage_history_key, deal_key, is_deleted, changed_at,
        count(*) FILTER (WHERE is_move) OVER deal AS stay
    FROM moves
    WINDOW deal AS (
        PARTITION BY deal_key, is_deleted ORDER BY changed_at, length(source_id), source_id
        ROWS UNBOUNDED PRECEDING
    )
),
stays AS (
    SELECT deal_key, is_deleted, stay, min(changed_at) AS entered_at,
        lead(min(changed_at)) OVER (PARTITION BY deal_key, is_deleted ORDER BY stay) AS left_at
    FROM numbered GROUP BY deal_key, is_deleted, stay
),
found AS (
    SELECT n.deal_stage_history_key, s.entered_at, s.left_at
    FROM numbered n JOIN stays s USING (deal_key, is_deleted, stay)
)
SELECT whole.* REPLACE (found.entered_at AS entered_at, found.left_at AS left_at)
FROM whole LEFT JOIN found USING (deal_stage_history_key)
"""
"""Consecutive rows of a deal with the same stage are one stay, whatever else changed. Rows without a deal get no
instants, because their neighbours are not known."""

# If each stage of a CRM belongs to one pipeline, the stage gives the pipeline.
_STAGE_PIPELINE = looked_up(
    reference("pipeline", "pipelines", "The pipeline that the stage belongs to."),
    "stages",
    "stage",
    name="name",
    pipeline_source_id="pipeline_source_id",
    pipeline_key="pipeline_key",
)
DEAL_STAGE_HISTORY = Table(
    "deal_stage_history",
    "deal_stage_history",
    "One row per change of a deal's stage, amount, probability or close date, as the CRM kept it.",
    (
        *reference("deal", "deals", "The deal that changed."),
        *_STAGE_PIPELINE,
        text("stage", "Stage after the change."),
        stage_label("stage"),
        money("amount", "Amount after the change."),
        money("expected_revenue", "Weighted amount after the change."),
        CURRENCY,
        _PROBABILITY,
        _CLOSE,
        _FORECAST,
        instant("changed_at", "When the change was made."),
        instant("entered_at", "When the deal entered the stage that it had after the change."),
        instant("left_at", "When it left that stage; NULL where it stands in it."),
        *user_reference("changed_by", "The user who made the change."),
    ),
    (
        Rule("required", "deal_key"),
        Rule("required", "changed_at"),
        _PERCENT,
        Rule("not_before", "left_at", other="entered_at"),
    ),
    over_rows=_STAYS,
    over_rows_from={"entered_at": ("changed_at", "stage"), "left_at": ("changed_at", "stage")},
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
        Column("quantity", PRECISE, "Quantity."),
        price("unit_price", "Price of one, as sold."),
        price("list_price", "Price of one in the price book."),
        number("discount", "Discount in percent; NULL where it is an amount."),
        money("total_price", "Price of the line, less discounts."),
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
        price(
            "price",
            "Usual price of one. Of Salesforce that of the standard price book; others: product_prices.",
        ),
        CURRENCY,
        text("description", "Free text."),
    ),
    (Rule("required", "name"),),
)

PRODUCT_PRICES = Table(
    "product_prices",
    "product_price",
    "Prices of products, one row for each product, price book and currency, as the CRM keeps them.",
    (
        *reference("product", "products", "The product."),
        text("price_book_source_id", "The vendor's id of the price book."),
        text("price_book", "Name of the price book."),
        flag(
            "is_standard", "Whether the price book is the standard one, which has the usual prices."
        ),
        price("price", "Price of one."),
        CURRENCY,
        flag("is_active", "Whether the price may be sold at."),
    ),
    (Rule("required", "product_key"),),
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
        text("currency", "ISO 4217 code of the currency whose rate this is."),
        Column("rate", PRECISE, "Units of this currency for one of the main currency."),
        day("starts_on", "First day of the rate; NULL where the CRM keeps no dates."),
        day("ends_on", "First day on which the rate no longer holds."),
        flag("is_main", "Whether this is the main currency."),
    ),
    (Rule("required", "currency"), Rule("between", "rate", low=0)),
)
