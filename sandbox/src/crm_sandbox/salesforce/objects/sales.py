"""Opportunities, their history and items, products, and the custom object Invoice__c."""

from typing import Any

from crm_sandbox.deals import STAGES
from crm_sandbox.salesforce.schema import (
    SObject,
    area,
    audit_fields,
    choice,
    currency,
    day,
    flag,
    moment,
    money,
    number,
    owner,
    picked,
    record_id,
    reference,
    text,
    viewed_fields,
)

_FIXED: dict[str, Any] = {"createable": False, "updateable": False}
_STAGE_NAMES = tuple(stage.name for stage in STAGES)
_FORECASTS = ("Omitted", "Pipeline", "Best Case", "Commit", "Closed")
_ROLES = ("Business User", "Decision Maker", "Economic Buyer", "Evaluator", "Influencer")
_FAMILIES = ("Licences", "Services", "Hardware", "Training")
_TYPES = ("Existing Customer - Upgrade", "Existing Customer - Replacement", "New Customer")

OPPORTUNITY = SObject(
    "Opportunity",
    "006",
    "Opportunities",
    (
        record_id(),
        *audit_fields()[:1],
        reference("AccountId", "Account", "account_id"),
        flag("IsPrivate"),
        text(
            "Name",
            120,
            "account_name || ' - ' || ['Renewal', 'New Business', 'Expansion', 'Pilot'][1 + r2 % 4]",
            nillable=False,
            name_field=True,
        ),
        area(
            "Description",
            32_000,
            "CASE WHEN r3 % 5 = 0 THEN 'Budget agreed; decision in Q' || (1 + r3 % 4) END",
        ),
        choice("StageName", _STAGE_NAMES, "stage_name", nillable=False),
        money("Amount", "amount"),
        number("Probability", "percent", "probability::DOUBLE"),
        money("ExpectedRevenue", "amount * probability / 100.0", **_FIXED),
        number("TotalOpportunityQuantity", "double", "quantity", scale=2),
        day("CloseDate", "close_at::DATE", nillable=False),
        choice("Type", _TYPES),
        text(
            "NextStep", 255, "CASE WHEN NOT is_closed AND r4 % 2 = 0 THEN 'Follow up by phone' END"
        ),
        choice(
            "LeadSource",
            ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
            picked(("Web", "Phone Inquiry", "Partner Referral", "Other"), "r5"),
        ),
        flag("IsClosed", "is_closed", **_FIXED),
        flag("IsWon", "is_won", **_FIXED),
        choice(
            "ForecastCategory",
            tuple(name.replace(" ", "") for name in _FORECASTS),
            "replace(forecast, ' ', '')",
            **_FIXED,
        ),
        choice("ForecastCategoryName", _FORECASTS, "forecast"),
        currency(),
        reference("CampaignId", "Campaign", "campaign_id"),
        flag("HasOpportunityLineItem", "quantity IS NOT NULL", **_FIXED),
        reference(
            "Pricebook2Id", "Pricebook2", "CASE WHEN quantity IS NOT NULL THEN pricebook_id END"
        ),
        owner(),
        *audit_fields()[1:],
        day("LastActivityDate", **_FIXED),
        moment("LastStageChangeDate", "changed_at", **_FIXED),
        number("FiscalQuarter", "int", "quarter(close_at)", **_FIXED),
        number("FiscalYear", "int", "year(close_at)", **_FIXED),
        text("Fiscal", 6, "year(close_at) || ' ' || quarter(close_at)", **_FIXED),
        reference("ContactId", "Contact", "contact_id"),
        *viewed_fields(),
        flag("HasOpenActivity", **_FIXED),
        flag("HasOverdueTask", **_FIXED),
        text(
            "Loss_Reason__c",
            255,
            "CASE WHEN is_closed AND NOT is_won THEN ['Price', 'No budget', 'Competitor', 'Timing'][1 + r6 % 4] END",
        ),
        text("External_Key__c", 40, "'O-' || i", external_id=True, unique=True),
    ),
)

OPPORTUNITY_HISTORY = SObject(
    "OpportunityHistory",
    "008",
    "Opportunity Histories",
    (
        record_id(),
        reference("OpportunityId", "Opportunity", "opportunity_id", nillable=False),
        reference("CreatedById", "User", "owner_id", **_FIXED),
        moment("CreatedDate", "changed_at", nillable=False, **_FIXED),
        choice("StageName", _STAGE_NAMES, "stage_name"),
        money("Amount", "amount"),
        money("ExpectedRevenue", "amount * probability / 100.0"),
        day("CloseDate", "close_at::DATE"),
        number("Probability", "percent", "probability::DOUBLE"),
        choice(
            "ForecastCategory",
            tuple(name.replace(" ", "") for name in _FORECASTS),
            "replace(forecast, ' ', '')",
        ),
        currency(),
        moment("SystemModstamp", "changed_at", nillable=False, **_FIXED),
        flag("IsDeleted", "deleted", **_FIXED),
    ),
    createable=False,
)

OPPORTUNITY_LINE_ITEM = SObject(
    "OpportunityLineItem",
    "00k",
    "Opportunity Products",
    (
        record_id(),
        reference("OpportunityId", "Opportunity", "opportunity_id", nillable=False),
        number("SortOrder", "int", "position", **_FIXED),
        reference("PricebookEntryId", "PricebookEntry", "entry_id"),
        reference("Product2Id", "Product2", "product_id"),
        text("ProductCode", 255, "product_code", **_FIXED),
        text("Name", 376, "account_name || ' ' || product_name", name_field=True, **_FIXED),
        currency(),
        number("Quantity", "double", "quantity::DOUBLE", scale=2, nillable=False),
        money("TotalPrice", "total::DOUBLE"),
        money("UnitPrice", "round(total / quantity, 4)"),
        money("ListPrice", "list_price", **_FIXED),
        money("Subtotal", "total::DOUBLE", **_FIXED),
        number("Discount", "percent", "", scale=2),
        day("ServiceDate", "CASE WHEN r1 % 3 = 0 THEN created::DATE + 30 END"),
        area("Description", 255),
        *audit_fields()[1:],
        *audit_fields()[:1],
    ),
)

OPPORTUNITY_CONTACT_ROLE = SObject(
    "OpportunityContactRole",
    "00K",
    "Opportunity Contact Roles",
    (
        record_id(),
        reference("OpportunityId", "Opportunity", "opportunity_id", nillable=False),
        reference("ContactId", "Contact", "contact_id", nillable=False),
        choice("Role", _ROLES),
        flag("IsPrimary", "is_primary"),
        *audit_fields()[1:],
        *audit_fields()[:1],
        currency(),
    ),
)

PRODUCT = SObject(
    "Product2",
    "01t",
    "Products",
    (
        record_id(),
        text("Name", 255, "name", nillable=False, name_field=True),
        text("ProductCode", 255, "code"),
        area("Description", 4000, "'The ' || name"),
        flag("IsActive", "r2 % 8 > 0"),
        *audit_fields()[1:],
        choice("Family", _FAMILIES),
        currency(),
        text("StockKeepingUnit", 180, "lpad((r3 % 100000)::VARCHAR, 8, '0')"),
        choice("QuantityUnitOfMeasure", ("Each", "Hour", "Seat"), "'Each'"),
        flag("IsArchived", **_FIXED),
        *audit_fields()[:1],
        *viewed_fields(),
    ),
)

PRICEBOOK = SObject(
    "Pricebook2",
    "01s",
    "Price Books",
    (
        record_id(),
        text("Name", 255, "name", nillable=False, name_field=True),
        *viewed_fields(),
        *audit_fields()[1:],
        flag("IsActive", "true"),
        flag("IsArchived", **_FIXED),
        area("Description", 255),
        flag("IsStandard", "true", **_FIXED),
        *audit_fields()[:1],
    ),
)

PRICEBOOK_ENTRY = SObject(
    "PricebookEntry",
    "01u",
    "Price Book Entries",
    (
        record_id(),
        text("Name", 255, "name", name_field=True, **_FIXED),
        reference("Pricebook2Id", "Pricebook2", "pricebook_id", nillable=False),
        reference("Product2Id", "Product2", "product_id", nillable=False),
        currency(),
        money("UnitPrice", "price", nillable=False),
        flag("IsActive", "true"),
        flag("UseStandardPrice"),
        *audit_fields()[1:],
        text("ProductCode", 255, "code", **_FIXED),
        flag("IsArchived", **_FIXED),
        *audit_fields()[:1],
    ),
)

INVOICE = SObject(
    "Invoice__c",
    "a01",
    "Invoices",
    (
        record_id(),
        owner(),
        *audit_fields()[:1],
        text("Name", 80, "'INV-' || lpad(i::VARCHAR, 6, '0')", name_field=True, **_FIXED),
        currency(),
        *audit_fields()[1:],
        day("LastActivityDate", **_FIXED),
        *viewed_fields(),
        reference("Account__c", "Account", "account_id"),
        reference("Opportunity__c", "Opportunity"),
        money("Amount__c", "(r2 % 5000000) / 100.0"),
        money("Tax__c", "round((r2 % 5000000) / 500.0, 2)"),
        choice("Status__c", ("Draft", "Sent", "Paid", "Overdue", "Void")),
        day("Due_Date__c", "created::DATE + 30"),
        moment("Paid_At__c", "CASE WHEN r1 % 5 = 2 THEN created + INTERVAL 20 DAY END"),
        flag("Disputed__c", "r3 % 17 = 0"),
        text("Reference__c", 40, "lpad((r4 % 1000000)::VARCHAR, 10, '0')", external_id=True),
        area(
            "Remarks__c",
            32_000,
            "CASE WHEN r5 % 7 = 0 THEN 'Zahlbar bis \"sofort\",' || chr(10) || 'danke' END",
        ),
        number(
            "Days_Open__c",
            "double",
            "(r3 % 60)::DOUBLE",
            calculated=True,
            formula="TODAY() - Due_Date__c",
            **_FIXED,
        ),
    ),
    custom=True,
)

SALES_OBJECTS = (
    OPPORTUNITY,
    OPPORTUNITY_HISTORY,
    OPPORTUNITY_LINE_ITEM,
    OPPORTUNITY_CONTACT_ROLE,
    PRODUCT,
    PRICEBOOK,
    PRICEBOOK_ENTRY,
    INVOICE,
)
