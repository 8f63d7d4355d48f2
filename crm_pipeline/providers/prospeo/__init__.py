"""Prospeo: facts about people and companies, lists of people. Exports one name, `provider`."""

from crm_pipeline.providers.protocols import OpenedProvider, ProviderContext
from crm_pipeline.settings import Provider


class ProspeoType:
    """Opens accounts at Prospeo."""

    type = "prospeo"

    def open(self, provider: Provider, context: ProviderContext) -> OpenedProvider:
        """Open an account."""
        from crm_pipeline.providers.prospeo.account import ProspeoAccount

        return ProspeoAccount(provider, context)


provider = ProspeoType()

__all__ = ["provider"]
