"""Plan and carry out an erasure over all stores, and prove it.

The subject of an erasure that is under way is kept, encrypted, until it is done: a process that is killed leaves stores
from which the person's records can no longer be told.
"""

import base64
import json
from dataclasses import dataclass, field

from crm_pipeline.erasure.finding import Found, find
from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import Searched, search
from crm_pipeline.erasure.stores import stores, unowned
from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline.store.build_lock import erasing
from crm_pipeline.store.erasing import Erased, RecordKey, Subject
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.store.tokens.state_key import StateKey

JOURNAL = "erasing.json"
_CONTEXT = "unfinished erasure"


@dataclass
class Outcome:
    """What an erasure found, and what came of it.

    Attributes:
        found: the person.
        erased: what each store held.
        is_applied: the erasure was carried out.
        searched: the search of the proof; None for a plan.
        unowned: names below the data folder that belong to no store.
    """

    found: Found
    erased: list[Erased] = field(default_factory=list)
    is_applied: bool = False
    searched: Searched | None = None
    unowned: list[str] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        """Whether the search found nothing, and could read everything."""
        searched = self.searched
        return searched is not None and not (searched.found or searched.unreadable)


def plan(settings: Settings, target: str, database: Database | None) -> Outcome:
    """Return what an erasure would remove; nothing changes.

    Raises:
        ConfigError: the target is neither an address nor the key of a record.
    """
    found = find(settings, target)
    outcome = Outcome(found, unowned=_unowned(settings))
    for store in stores(settings, database, SystemClock()):
        outcome.erased.append(store.erase(found.subject))
    return outcome


def apply(
    settings: Settings, target: str, database: Database | None, clock: Clock | None = None
) -> Outcome:
    """Erase a person everywhere, and prove it; an erasure that was interrupted is finished with it.

    Raises:
        ConfigError: the target is neither an address nor the key of a record.
        Building: a run is building tables.
        StoreError: something is being read, or a file cannot be written; the next call goes on.
    """
    clock = clock or SystemClock()
    with erasing(settings.data):
        return _applied(settings, target, database, clock)


def _applied(settings: Settings, target: str, database: Database | None, clock: Clock) -> Outcome:
    interrupted = _interrupted(settings)
    # Before anything is replaced: a record whose address is gone cannot be told any more.
    found = find(settings, target, interrupted.addresses if interrupted else ())
    if interrupted is not None:
        found = Found(_joined(found.subject, interrupted), found.shared)
    outcome = Outcome(found, is_applied=True, unowned=_unowned(settings))
    outcome.erased = _erased(settings, found.subject, database, clock)
    outcome.searched = search(settings.data, Needles(found.subject.values))
    left = [store.erase(found.subject) for store in stores(settings, database, clock)]
    for erased in left:
        for path in erased.files:
            outcome.searched.add(path, {erased.store})
    if outcome.is_proven:
        files.discard(settings.data / JOURNAL)
    return outcome


def _erased(
    settings: Settings, subject: Subject, database: Database | None, clock: Clock
) -> list[Erased]:
    _note(settings, subject)
    # First, so that a read that starts meanwhile does not bring the person back.
    key = HashKey.of(settings)
    tombstones = Tombstones.at(settings.data)
    tombstones.require(key)
    tombstones.with_subject(subject, key, clock.now()).write(settings.data)
    return [store.erase(subject, apply=True) for store in stores(settings, database, clock)]


def _note(settings: Settings, subject: Subject) -> None:
    """Keep the subject until the erasure is done."""
    plain = json.dumps(
        {
            "records": sorted(map(list, subject.records)),
            "addresses": sorted(subject.addresses),
            "linked": sorted(map(list, subject.linked)),
            "names": sorted(subject.names),
        }
    )
    sealed = StateKey.of(settings).seal(plain.encode(), context=_CONTEXT)
    record = {"subject": base64.b64encode(sealed).decode()}
    files.write_json(settings.data / JOURNAL, record, "erasing")


def _interrupted(settings: Settings) -> Subject | None:
    """Return the subject of an erasure that was interrupted.

    Raises:
        StoreError: it was noted under another state key.
    """
    path = settings.data / JOURNAL
    try:
        record = files.read_json(path, cure=f"Remove {path}, and erase the person again.")
    except FileNotFoundError:
        return None
    try:
        sealed = base64.b64decode(record["subject"])
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read.", cure="Remove it, and erase the person again."
        ) from error
    stored = json.loads(StateKey.of(settings).opened(sealed, context=_CONTEXT))
    return Subject(
        records=frozenset(RecordKey(*each) for each in stored["records"]),
        addresses=frozenset(stored["addresses"]),
        linked=frozenset(RecordKey(*each) for each in stored["linked"]),
        names=frozenset(stored["names"]),
    )


def _joined(one: Subject, other: Subject) -> Subject:
    return Subject(
        records=one.records | other.records,
        addresses=one.addresses | other.addresses,
        linked=one.linked | other.linked,
        names=one.names | other.names,
    )


def _unowned(settings: Settings) -> list[str]:
    return unowned(settings) if settings.data.is_dir() else []
