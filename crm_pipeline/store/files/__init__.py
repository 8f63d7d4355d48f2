"""Files that are whole or not there: atomic writes, checksums, seals, a full disk, who may read."""

from crm_pipeline.store.files.atomic import (
    TEMPORARY_SUFFIX,
    abandoned,
    create_json,
    created,
    discard,
    explained,
    make_folder,
    make_private,
    read_json,
    read_sealed,
    replacing,
    sha256_of,
    sync_file,
    sync_folder,
    write_json,
)
from crm_pipeline.store.files.locking import locked
from crm_pipeline.store.files.state import row_values, set_aside

__all__ = [
    "TEMPORARY_SUFFIX",
    "abandoned",
    "create_json",
    "created",
    "discard",
    "explained",
    "locked",
    "make_folder",
    "make_private",
    "read_json",
    "read_sealed",
    "replacing",
    "row_values",
    "set_aside",
    "sha256_of",
    "sync_file",
    "sync_folder",
    "write_json",
]
