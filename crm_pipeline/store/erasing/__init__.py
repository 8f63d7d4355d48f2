"""What the erasures of all stores share: the subject, the protocol, and how rows and texts are rewritten."""

from crm_pipeline.store.erasing.redaction import MARK, Redaction
from crm_pipeline.store.erasing.rows import RowEraser
from crm_pipeline.store.erasing.subject import Erased, RecordKey, Store, Subject

__all__ = ["MARK", "Erased", "RecordKey", "Redaction", "RowEraser", "Store", "Subject"]
