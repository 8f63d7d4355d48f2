"""OAuth tokens, encrypted, the key that they lie under, and backups of both."""

from crm_pipeline.store.tokens.tokens import StoredToken, TokenStore

__all__ = ["StoredToken", "TokenStore"]
