"""Users, the organisation and the list of opportunity stages: objects without a recycle bin."""

from typing import Any

from crm_sandbox.salesforce.schema import (
    CURRENCIES,
    SObject,
    address_fields,
    audit_fields,
    choice,
    contact_point,
    day,
    flag,
    moment,
    number,
    picked,
    record_id,
    reference,
    text,
    viewed_fields,
)

_FIXED: dict[str, Any] = {"createable": False, "updateable": False}
_LOCALES = ("en_US", "de", "fr", "es", "ja", "pt_BR")
_ZONES = ("America/New_York", "Europe/Berlin", "Europe/Paris", "Asia/Tokyo", "America/Sao_Paulo")

USER = SObject(
    "User",
    "005",
    "Users",
    (
        record_id(),
        text("Username", 80, "username", nillable=False),
        text("LastName", 80, "family", nillable=False, compound="Name"),
        text("FirstName", 40, "given", compound="Name"),
        text("Name", 121, "given || ' ' || family", nillable=False, name_field=True, **_FIXED),
        text("CompanyName", 80, "'Sandbox Trading'"),
        text("Division", 80),
        text("Department", 80, "['Sales', 'Marketing', 'Support', 'IT'][1 + r2 % 4]"),
        text(
            "Title",
            80,
            "['Account Executive', 'SDR', 'Sales Manager', 'Support Agent'][1 + r3 % 4]",
        ),
        *address_fields("", sql=False),
        contact_point("Email", "email", "email", nillable=False),
        contact_point("Phone", "phone"),
        contact_point("MobilePhone", "phone"),
        text("Alias", 8, "alias", nillable=False),
        text("CommunityNickname", 40, "alias || i", nillable=False),
        flag("IsActive", "active"),
        choice("TimeZoneSidKey", _ZONES, picked(_ZONES, "r4"), nillable=False),
        choice("LocaleSidKey", _LOCALES, picked(_LOCALES, "r5"), nillable=False),
        choice("LanguageLocaleKey", _LOCALES, picked(_LOCALES, "r5"), nillable=False),
        choice("EmailEncodingKey", ("UTF-8",), "'UTF-8'", nillable=False),
        reference("UserRoleId", "UserRole", "role_id"),
        reference("ProfileId", "Profile", nillable=False),
        choice("UserType", ("Standard", "PowerPartner"), "'Standard'", **_FIXED),
        choice("DefaultCurrencyIsoCode", ("USD", "EUR"), "'USD'"),
        text("EmployeeNumber", 20, "lpad((i * 113)::VARCHAR, 6, '0')"),
        reference("ManagerId", "User", "manager_id"),
        moment("LastLoginDate", "CASE WHEN active THEN touched END", **_FIXED),
        *audit_fields(deleted=False),
        text("FederationIdentifier", 512, "CASE WHEN r6 % 2 = 0 THEN upper(alias) END"),
        flag("ForecastEnabled", "r2 % 2 = 0"),
        *viewed_fields(),
    ),
)

ORGANIZATION = SObject(
    "Organization",
    "00D",
    "Organizations",
    (
        record_id(),
        text("Name", 80, "'Sandbox Trading'", name_field=True),
        text("Division", 80),
        *address_fields("", sql=False),
        contact_point("Phone", "phone"),
        contact_point("PrimaryContact", "email", "'admin@sandbox.example'"),
        choice("DefaultLocaleSidKey", _LOCALES, "'en_US'"),
        choice("LanguageLocaleKey", _LOCALES, "'en_US'"),
        choice("TimeZoneSidKey", _ZONES, "'America/New_York'"),
        choice("DefaultCurrencyIsoCode", CURRENCIES, "'USD'", **_FIXED),
        choice("OrganizationType", ("Enterprise Edition",), "'Enterprise Edition'", **_FIXED),
        number("FiscalYearStartMonth", "int", "1"),
        text("NamespacePrefix", 15, **_FIXED),
        text("InstanceName", 5, "'SBX7'", **_FIXED),
        flag("IsSandbox", **_FIXED),
        flag("IsReadOnly", **_FIXED),
        *audit_fields(deleted=False),
    ),
    createable=False,
)

OPPORTUNITY_STAGE = SObject(
    "OpportunityStage",
    "01J",
    "Opportunity Stages",
    (
        record_id(),
        text("MasterLabel", 255, "name", name_field=True, **_FIXED),
        text("ApiName", 255, "name", **_FIXED),
        flag("IsActive", "true", **_FIXED),
        number("SortOrder", "int", "i + 1", **_FIXED),
        flag("IsClosed", "closed", **_FIXED),
        flag("IsWon", "won", **_FIXED),
        choice(
            "ForecastCategory",
            ("Omitted", "Pipeline", "BestCase", "Commit", "Closed"),
            "replace(forecast, ' ', '')",
            **_FIXED,
        ),
        choice(
            "ForecastCategoryName",
            ("Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
            "forecast",
            **_FIXED,
        ),
        number("DefaultProbability", "percent", "probability::DOUBLE", **_FIXED),
        text("Description", 255, **_FIXED),
        *audit_fields(deleted=False),
    ),
    createable=False,
)

USER_ROLE = SObject(
    "UserRole",
    "00E",
    "Roles",
    (
        record_id(),
        text("Name", 80, "name", nillable=False, name_field=True),
        reference("ParentRoleId", "UserRole", "parent_id"),
        text("DeveloperName", 80, "replace(name, ' ', '_')"),
        *audit_fields(deleted=False)[2:],
    ),
    createable=False,
)

LEAD_STATUS = SObject(
    "LeadStatus",
    "01M",
    "Lead Statuses",
    (
        record_id(),
        text("MasterLabel", 255, "label", name_field=True, **_FIXED),
        text("ApiName", 255, "name", **_FIXED),
        number("SortOrder", "int", "i + 1", **_FIXED),
        flag("IsDefault", "i = 0", **_FIXED),
        flag("IsConverted", "name = 'Closed - Converted'", **_FIXED),
        *audit_fields(deleted=False),
    ),
    createable=False,
)

CURRENCY_TYPE = SObject(
    "CurrencyType",
    "01L",
    "Currency Types",
    (
        record_id(),
        choice("IsoCode", CURRENCIES, "code", nillable=False, name_field=True),
        number("ConversionRate", "double", "rate", scale=6, nillable=False),
        number("DecimalPlaces", "int", "CASE WHEN code = 'JPY' THEN 0 ELSE 2 END", nillable=False),
        flag("IsActive", "true"),
        flag("IsCorporate", "code = 'USD'", **_FIXED),
        *audit_fields(deleted=False),
    ),
    createable=False,
)

DATED_CONVERSION_RATE = SObject(
    "DatedConversionRate",
    "04w",
    "Dated Conversion Rates",
    (
        record_id(),
        choice("IsoCode", CURRENCIES, "code", nillable=False),
        day("StartDate", "starts_on", nillable=False),
        day("NextStartDate", "next_starts_on", **_FIXED),
        number("ConversionRate", "double", "rate", scale=6, nillable=False),
        *audit_fields(deleted=False),
    ),
    createable=False,
)

USER_PERMISSION_ACCESS = SObject(
    "UserPermissionAccess",
    "0QK",
    "User Permission Access",
    (
        record_id(),
        flag("PermissionsApiEnabled", "true", **_FIXED),
        flag("PermissionsViewAllData", "true", **_FIXED),
    ),
    createable=False,
)

SETUP_OBJECTS = (
    USER,
    USER_ROLE,
    ORGANIZATION,
    OPPORTUNITY_STAGE,
    LEAD_STATUS,
    CURRENCY_TYPE,
    DATED_CONVERSION_RATE,
    USER_PERMISSION_ACCESS,
)
