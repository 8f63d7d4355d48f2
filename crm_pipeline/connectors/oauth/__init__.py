"""Logins by OAuth 2.0: profiles, the token endpoint, refresh-token rotation, the authorization-code flow."""

from crm_pipeline.connectors.oauth.login import FixedToken, RefreshLogin
from crm_pipeline.connectors.oauth.profile import OAuthProfile

__all__ = ["FixedToken", "OAuthProfile", "RefreshLogin"]
