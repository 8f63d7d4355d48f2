"""What automation of a connection costs a day, in words: for `check`, `plan` and `add`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crm_pipeline.connectors.base import Account, Finding
    from crm_pipeline.connectors.upkeep import Pace
    from crm_pipeline.settings import Settings

_CURE = (
    "Write a slower `cadence` or a larger `probe_every_s` in connections.yaml; where they are left out, they are "
    "stretched until they take a tenth of the limit."
)


def pace_of(settings: "Settings", account: "Account") -> "Pace":
    """Return how often automation asks and reads an account, and what that costs; asks nothing."""
    from crm_pipeline.connectors.upkeep import stated_ceiling
    from crm_pipeline.stages.raw import pace
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.looks import Looks

    looks, name = Looks(settings.data), account.connection.name
    looks.stated(name, stated_ceiling(account.day_limit))
    return pace(settings, account, Landing(settings.data), looks.at(name))


def finding(settings: "Settings", account: "Account") -> "Finding":
    """Return the line of a check-up about the cost of automation."""
    from crm_pipeline.connectors.base import Finding

    pace = pace_of(settings, account)
    return Finding("warn" if pace.is_dear else "ok", "automation", str(pace), _CURE)


def line(pace: "Pace") -> str:
    """Return a line for people about the cost of automation."""
    return f"automation: {pace}" + (f". {_CURE}" if pace.is_dear else "")
