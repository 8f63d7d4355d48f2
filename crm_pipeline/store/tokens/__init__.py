"""Encrypted OAuth tokens, their key, and backups of the state in PostgreSQL."""

from crm_pipeline.store.tokens.tokens import StoredToken, TokenStore

__all__ = ["StoredToken", "TokenStore"]
