"""Stores of the stage `verified`: its tables, and the answers of DNS.

The tables are built from the normalized ones without the person, once those are rewritten, because verdicts are kept by
the text that was judged. All files are new: delta, tombstone and change files hold texts of earlier versions.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from crm_pipeline.kernel.clock import Clock
from crm_pipeline.model.names import literal
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import EMAIL_VERDICTS
from crm_pipeline.settings import Settings
from crm_pipeline.stages.verified import Choices, verify
from crm_pipeline.stages.verified.dns_cache import forget_domains, known_domains
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline.store.erasing import Erased, Subject
from crm_pipeline.store.erasing.rows import RowEraser
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.erasing import rewrite_tables
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.erasing import collect_all, held
from crm_pipeline.store.tables.erasing_verdicts import verdicts_without
from crm_pipeline.verification import judge_emails

NAMES = tuple(VERIFIED.stored_name(table.name) for table in VERIFIED.tables)
"""The names under which the store keeps the tables."""


class VerifiedStore:
    """The tables of the stage `verified`, as a store of personal data; the normalized ones must be erased before.

    Args:
        settings: of the workspace.
        database: keeps the answers of DNS.
        clock: says which verdicts have expired.
    """

    name = "verified tables"
    covers = ("tables",)
    subject_keys = ("keys of records", "texts that no other record has")

    def __init__(self, settings: Settings, database: Database | None, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._tables = Tables(settings.data)

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        versions = _versions(self._tables)
        with Engine(self._settings.data / "tmp", threads=1) as engine:
            for table, version in versions.items():
                rows = verdicts_without(subject, table, lambda name: _relation(versions, name))
                relation = Tables.relation(version)
                counts = held(RowEraser(subject), engine.connection, relation, rows, version.key)
                done.add(self._tables.folder(version.name) / version.version, *counts)
            if apply and (done.files or any(map(_holds_former_texts, versions.values()))):
                self._verify(engine, versions)
        if apply:
            collect_all(self._tables)
        return done

    def _verify(self, engine: Engine, versions: dict[str, TableVersion]) -> None:
        """Build the tables from the inputs that they were built from, as these are now."""
        chosen = self._settings.verification
        inputs = {name for version in versions.values() for name in version.meta["inputs"]}
        countries = {one.name: one.country for one in self._settings.connections.values()}
        verify(
            self._tables,
            engine,
            library_verifiers(chosen, self._clock, self._database),
            Choices(countries, chosen.expires, chosen.shared_from),
            wanted=inputs,
            now=self._clock.now(),
            is_anew=True,
        )


class DnsAnswersStore:
    """Answers of DNS about domains, as a store of personal data: a domain that only a person has names the person.

    Args:
        data: the data folder; its verified tables say which domains others have.
        database: keeps the answers; None where nothing can be said of it.
    """

    name = "answers of DNS"
    covers = ("postgres",)
    subject_keys = ("domains that no other address has",)

    def __init__(self, data: Path, database: Database | None) -> None:
        self._data = data
        self._database = database

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        if self._database is None or not subject.addresses:
            return done
        own = set(_domains_of(subject)) - self._of_others(subject)
        found = known_domains(self._database, own)
        done.add(Path("crm_state.dns_answers"), len(found), 0)
        if apply and found:
            forget_domains(self._database, found)
            rewrite_tables(self._database, {("crm_state", "dns_answers")})
        return done

    def _of_others(self, subject: Subject) -> set[str]:
        """Return the domains of the addresses that are not the subject's."""
        versions = _versions(Tables(self._data))
        rows = verdicts_without(
            subject, EMAIL_VERDICTS.name, lambda name: _relation(versions, name)
        )
        relation = rows.rest if rows else _relation(versions, EMAIL_VERDICTS.name)
        if relation is None:
            return set()
        own = ", ".join(map(literal, sorted(subject.addresses)))
        with Engine(self._data / "tmp", threads=1) as engine:
            others = engine.rows(
                f"SELECT DISTINCT domain FROM {relation} WHERE domain IS NOT NULL "
                f"AND lower(coalesce(address, '')) NOT IN ({own}) "
                f"AND coalesce(email_normalized, '') NOT IN ({own})"
            )
        return {domain for (domain,) in others}


def _versions(tables: Tables) -> dict[str, TableVersion]:
    found = ((name, tables.version(name)) for name in NAMES)
    return {name.rpartition("/")[2]: version for name, version in found if version is not None}


def _relation(versions: dict[str, TableVersion], table: str) -> str | None:
    return Tables.relation(versions[table]) if table in versions else None


def _holds_former_texts(version: TableVersion) -> bool:
    return bool(version.delta or version.tombstones or version.changes)


def _domains_of(subject: Subject) -> Iterator[str]:
    """Yield the domains of a subject's addresses as DNS is asked about them."""
    judged = judge_emails(pa.array(sorted(subject.addresses), pa.string()))
    yield from (domain for domain in judged["domain"].to_pylist() if domain is not None)
