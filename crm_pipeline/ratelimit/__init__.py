"""How many calls all processes together may make under the limits of a vendor: permits, shares, counters, usage."""

from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit

__all__ = ["Limit", "RateLimiter"]
