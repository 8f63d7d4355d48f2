"""The rate limiter: permits for calls under a vendor's limits, shared by all processes; counts of calls made."""

from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.ratelimit.reservation import NotNow, Reservation

__all__ = ["Limit", "NotNow", "RateLimiter", "Reservation"]
