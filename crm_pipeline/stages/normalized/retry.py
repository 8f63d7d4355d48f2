"""Try records that could not be landed again with today's reader, whether or not its rules have another version."""

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.stages.normalized.reread import Rereader, quarantine_files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.outstanding import note_recovered
from crm_pipeline.store.landing.rereads import Rereads


def retry(landing: Landing, connection: str, obj: str, keys: RecordKeys) -> int:
    """Read the quarantined records of an object again; return how many more can be read now.

    They are missing no more, and the next build of a table has them. The bytes in quarantine stay.

    Raises:
        CorruptFile: a batch or a file of quarantined rows is damaged.
        StoreError: the disk is full or not writable.
    """
    rereader = Rereader(landing, connection, obj, keys)
    windows = landing.windows(connection, obj)
    before = sum(rereader.read(windows).recovered.values())
    folder = landing.quarantine(connection, obj)
    names = [path.stem for paths in quarantine_files(folder).values() for path in paths]
    Rereads(folder, keys.version).forget(names)
    reread = rereader.read(windows)
    recovered = [batch for batch in reread.batches if batch.path.is_relative_to(folder)]
    note_recovered(landing, connection, obj, recovered)
    return sum(reread.recovered.values()) - before
