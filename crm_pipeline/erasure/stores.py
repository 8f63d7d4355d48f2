"""The registry of all stores that may hold personal data, and of what holds none."""

from crm_pipeline.erasure.enriched import NAMES as ENRICHED_NAMES
from crm_pipeline.erasure.enriched import EnrichedStore, PurchasesStore
from crm_pipeline.erasure.verified import NAMES as VERIFIED_NAMES
from crm_pipeline.erasure.verified import DnsAnswersStore, VerifiedStore
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.settings import Settings
from crm_pipeline.store.erasing import Store
from crm_pipeline.store.files.erasing import TextsStore
from crm_pipeline.store.landing.erasing import LandingStore
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.erasing import DatabaseStore
from crm_pipeline.store.tables.erasing import PublishedStore, SnapshotsStore, TablesStore
from crm_pipeline.store.tables.erasing_ops import OpsStore

HOLDS_NOBODY = frozenset(
    {
        "README.md",
        "state.key",
        "hash.key",
        "erased.json",  # keyed hashes
        "erasing.json",  # of an unfinished erasure, encrypted
        ".permissions.json",
        ".postgres.borrowed",
        ".postgres.lock",
        ".postgres.users",
        "tmp",  # spilled rows of running statements
    }
)
"""Names below the data folder that belong to no store; the search of a proof reads them as well."""


def stores(settings: Settings, database: Database | None, clock: Clock) -> tuple[Store, ...]:
    """Return all stores, in the order in which they are erased: what others are made from comes first."""
    data = settings.data
    return (
        LandingStore(data, clock),
        TablesStore(data, but=(*VERIFIED_NAMES, *ENRICHED_NAMES)),
        DnsAnswersStore(data, database),
        VerifiedStore(settings, database, clock),
        PurchasesStore(settings, database),
        EnrichedStore(settings, database, clock),
        PublishedStore(data),
        SnapshotsStore(data),
        DatabaseStore(database),
        TextsStore(data, "looks", ("looks",)),
        TextsStore(data, "sweeps", ("sweeps",)),
        TextsStore(data, "backfills of new fields", ("field_backfills",)),
        TextsStore(data, "changed fields", ("drift",)),
        TextsStore(data, "results of audits", ("audits",)),
        TextsStore(data, "logs and files of runs", ("dagster", "run")),
        # Last, because it is built at any time from the ones before.
        OpsStore(data),
    )


def unowned(settings: Settings) -> list[str]:
    """Return the names below the data folder that belong to no store."""
    listed = stores(settings, None, SystemClock())
    owned = {name for store in listed for name in store.covers} | HOLDS_NOBODY
    return sorted(path.name for path in settings.data.iterdir() if path.name not in owned)
