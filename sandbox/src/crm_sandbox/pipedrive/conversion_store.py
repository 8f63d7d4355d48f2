"""Jobs of conversions and their states."""

import threading
import uuid
from dataclasses import dataclass
from typing import Any

from crm_sandbox.pipedrive.store import Author


@dataclass
class Conversion:
    """One job.

    Attributes:
        entity: what is converted, `leads` or `deals`.
        source: its id.
        place: stage and pipeline of a deal to be.
        polls: how often somebody asked.
        target: the id of what it became; None before that.
    """

    id: str
    entity: str
    source: Any
    place: dict[str, Any]
    author: Author
    polls: int = 0
    target: Any = None
    state: str = "not_started"


class ConversionStore:
    """The conversions of one company."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._jobs: dict[str, Conversion] = {}

    def begin(self, entity: str, source: Any, place: dict[str, Any], author: Author) -> Conversion:
        """Take up a job."""
        job = Conversion(str(uuid.uuid4()), entity, source, place, author)
        with self.lock:
            self._jobs[job.id] = job
        return job

    def find(self, number: str, entity: str) -> Conversion | None:
        """Return a job of an object."""
        job = self._jobs.get(number)
        return job if job is not None and job.entity == entity else None
