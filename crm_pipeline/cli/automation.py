"""What automation of a connection costs a day, in words: for `check`, `plan`, `add` and `status`."""

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
    """Return how often automation probes and reads an account, and what that costs; calls no API."""
    from crm_pipeline.connectors.upkeep import stated_limit
    from crm_pipeline.stages.raw import pace
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.landing.looks import Looks

    looks, name = Looks(settings.data), account.connection.name
    looks.stated(name, stated_limit(account.day_limit))
    return pace(settings, account, Landing(settings.data), looks.at(name))


def finding(settings: "Settings", account: "Account") -> "Finding":
    """Return the line of a check-up about the cost of automation."""
    from crm_pipeline.connectors.base import Finding

    pace = pace_of(settings, account)
    detail = f"{pace}{_switch_state(settings)}"
    return Finding("warn" if pace.is_dear else "ok", "automation", detail, _CURE)


def line(settings: "Settings", pace: "Pace") -> str:
    """Return a line for people about the cost of automation."""
    return f"automation: {pace}{_switch_state(settings)}" + (f" {_CURE}" if pace.is_dear else "")


def _switch_state(settings: "Settings") -> str:
    """Say whether automation is on."""
    if settings.is_automatic:
        return "."
    return (
        ". It is off (`CRM_AUTOMATION` is not `on`): nothing of this is spent unless somebody starts the sensor and "
        "the schedule in the web interface."
    )


def line_of(settings: "Settings", name: str) -> str:
    """Return the same line for a connection that is not open; calls no vendor and starts no PostgreSQL."""
    import psycopg2

    from crm_pipeline.kernel.errors import CrmError
    from crm_pipeline.stages.raw import opened, pace
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.landing.looks import Looks
    from crm_pipeline.store.postgres.database import Database, database_url

    try:
        url = database_url(settings)
        if url is None:
            return _unknown_cost(name, "PostgreSQL is not running")
        with Database(url) as database, opened(settings, name, database) as account:
            looks = Looks(settings.data).at(name)
            return line(settings, pace(settings, account, Landing(settings.data), looks))
    except psycopg2.errors.UndefinedTable:
        return _unknown_cost(name, "nobody has called anything yet")
    except CrmError as error:
        return _unknown_cost(name, error.message.removesuffix("."))


def _unknown_cost(name: str, why: str) -> str:
    return f"automation: what it costs a day is not known here ({why}); `crm-pipeline plan {name}` says it."
