"""Hunter: verdicts on e-mail addresses. Exports one name, `provider`."""

from crm_pipeline.providers.protocols import OpenedProvider, ProviderContext
from crm_pipeline.settings import Provider


class HunterType:
    """Opens accounts at Hunter."""

    type = "hunter"

    def open(self, provider: Provider, context: ProviderContext) -> OpenedProvider:
        """Open an account."""
        from crm_pipeline.providers.hunter.account import HunterAccount

        return HunterAccount(provider, context)


provider = HunterType()

__all__ = ["provider"]
