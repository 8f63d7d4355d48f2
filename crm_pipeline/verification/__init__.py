"""Floor 2: which e-mail address may be mailed, which telephone number can be dialled, from the text and from DNS.

Columns in, tables out; nothing about stages, connections or where verdicts are kept. `vocabulary` has the words. Libraries
and lists are loaded when a name is asked for the first time, because every start of the command line passes here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.verification.address_forms import composed, mailboxes, spellings
    from crm_pipeline.verification.countries import region_of, regions_of
    from crm_pipeline.verification.dns import DnsSettings, MailServers
    from crm_pipeline.verification.emails import judge_emails
    from crm_pipeline.verification.explanations import Finding, explain_email, explain_phone
    from crm_pipeline.verification.mail_lists import ListDate, list_dates
    from crm_pipeline.verification.mail_servers import (
        AnswerCache,
        DomainAnswer,
        MemoryCache,
        apply_dns,
    )
    from crm_pipeline.verification.phones import judge_phones, with_shared
    from crm_pipeline.verification.vocabulary import (
        EMAIL_RULE,
        PHONE_RULE,
        EmailReason,
        EmailVerdict,
        Method,
        PhoneReason,
        PhoneType,
        PhoneVerdict,
    )

    EMAIL_RULES: str
    PHONE_RULES: str

_MODULES = {
    "address_forms": ("composed", "mailboxes", "spellings"),
    "countries": ("region_of", "regions_of"),
    "dns": ("DnsSettings", "MailServers"),
    "emails": ("judge_emails",),
    "explanations": ("Finding", "explain_email", "explain_phone"),
    "mail_lists": ("ListDate", "list_dates"),
    "mail_servers": ("AnswerCache", "DomainAnswer", "MemoryCache", "apply_dns"),
    "phones": ("judge_phones", "with_shared"),
    "vocabulary": (
        *("EMAIL_RULE", "PHONE_RULE", "EmailReason", "EmailVerdict", "Method"),
        *("PhoneReason", "PhoneType", "PhoneVerdict"),
    ),
}
__all__ = [
    "EMAIL_RULE",
    "EMAIL_RULES",
    "PHONE_RULE",
    "PHONE_RULES",
    "AnswerCache",
    "DnsSettings",
    "DomainAnswer",
    "EmailReason",
    "EmailVerdict",
    "Finding",
    "ListDate",
    "MailServers",
    "MemoryCache",
    "Method",
    "PhoneReason",
    "PhoneType",
    "PhoneVerdict",
    "apply_dns",
    "composed",
    "explain_email",
    "explain_phone",
    "judge_emails",
    "judge_phones",
    "list_dates",
    "mailboxes",
    "region_of",
    "regions_of",
    "spellings",
    "with_shared",
]


def __getattr__(name: str) -> Any:
    if name in {"EMAIL_RULES", "PHONE_RULES"}:
        from crm_pipeline.verification import rules

        return rules.email_rules() if name == "EMAIL_RULES" else rules.phone_rules()
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
