"""`ops.connections` has the facts with which the rows of accounts were built."""

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.store.landing.account_facts import note_facts
from crm_pipeline_tests.stages.published.conftest import land

RULE = "days are those of ops.connections.time_zone"


def published(org):
    org.publish()
    [zone] = org.query("SELECT time_zone FROM ops.connections")
    sql = f"SELECT table_name, failures, rows FROM ops.quality WHERE rule = '{RULE}'"
    return zone[0], sorted(org.query(sql))


def test_the_zone_is_that_of_the_rows(org):
    """Days follow the zone in ops.connections, even if another one is known since; other tables are a finding."""
    note_facts(org.landing, "acme", AccountFacts("Europe/Berlin", "EUR"))
    for table, text in (("deals", "1 name=a"), ("exchange_rates", "1 currency=EUR")):
        land(org, table, text)
        org.normalize(table)
    note_facts(org.landing, "acme", AccountFacts("America/New_York", "EUR"))
    agreed = [("deals", 0, 1), ("exchange_rates", 0, 1)]
    assert published(org) == ("Europe/Berlin", agreed)
    org.normalize("deals")
    assert published(org) == ("America/New_York", [("deals", 0, 1), ("exchange_rates", 1, 1)])
    org.normalize("exchange_rates")
    assert published(org) == ("America/New_York", agreed)
