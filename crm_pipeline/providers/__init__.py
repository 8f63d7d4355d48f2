"""Providers of data: who sells facts about people and companies, or verdicts on addresses.

`opened_provider(settings, name, database)` opens one; `as_enricher`, `as_verifier` and `as_finder` say what it can do.
Belongs here: asking, and translating answers. Does not belong here: whom to ask about, what was bought, and the budget
of a run. Modules are imported at their first use, because every command reads the settings of providers.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.providers.budgets import budget_limits, group_of
    from crm_pipeline.providers.errors import OutOfCredits
    from crm_pipeline.providers.protocols import (
        EmailVerifier,
        Enricher,
        OpenedProvider,
        PeopleFinder,
        ProviderContext,
        ProviderType,
    )
    from crm_pipeline.providers.registry import (
        as_enricher,
        as_finder,
        as_verifier,
        opened_provider,
        provider_type,
    )
    from crm_pipeline.providers.subjects import Company, Person, Subject, key_of
    from crm_pipeline.providers.values import (
        FIELDS,
        Account,
        Answer,
        EmailAnswer,
        Fact,
        Listed,
        Outcome,
        Question,
        SearchPage,
        Wanted,
    )

_MODULES = {
    "budgets": ("budget_limits", "group_of"),
    "errors": ("OutOfCredits",),
    "protocols": (
        *("EmailVerifier", "Enricher", "OpenedProvider", "PeopleFinder"),
        *("ProviderContext", "ProviderType"),
    ),
    "registry": ("as_enricher", "as_finder", "as_verifier", "opened_provider", "provider_type"),
    "subjects": ("Company", "Person", "Subject", "key_of"),
    "values": (
        *("FIELDS", "Account", "Answer", "EmailAnswer", "Fact", "Listed", "Outcome", "Question"),
        *("SearchPage", "Wanted"),
    ),
}
__all__ = [
    "FIELDS",
    "Account",
    "Answer",
    "Company",
    "EmailAnswer",
    "EmailVerifier",
    "Enricher",
    "Fact",
    "Listed",
    "OpenedProvider",
    "OutOfCredits",
    "Outcome",
    "PeopleFinder",
    "Person",
    "ProviderContext",
    "ProviderType",
    "Question",
    "SearchPage",
    "Subject",
    "Wanted",
    "as_enricher",
    "as_finder",
    "as_verifier",
    "budget_limits",
    "group_of",
    "key_of",
    "opened_provider",
    "provider_type",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
