"""A saved page of Bulk CSV as record batches; memory is bounded by a block of CSV."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from isal import igzip, isal_zlib

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.csv_records import CsvForm, CsvRecords
from crm_pipeline.connectors.salesforce import describe, keys
from crm_pipeline.kernel.errors import Fatal, ProtocolError
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.bounds import Allowance, TooLarge

_UNREADABLE: tuple[Any, ...] = (pa.ArrowInvalid, EOFError, OSError, isal_zlib.error)


class CsvPage:
    """A saved page of CSV, parsed in blocks; every cell stays unchanged text.

    Args:
        owner: named in error texts.
        plan: that the page belongs to.
        file: the page as received.
        expected: the number of records that the vendor states.
        rejected: filled with the records that cannot be landed.
        bounds: limit the unpacked size.
    """

    def __init__(
        self,
        owner: str,
        plan: Plan,
        file: Path,
        expected: int | None,
        rejected: list[Reject],
        *,
        bounds: Bounds | None = None,
    ) -> None:
        self._owner = owner
        self._plan = plan
        self._file = file
        self._expected = expected
        self._rejected = rejected
        self._bounds = bounds or Bounds()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the records with their key columns.

        Raises:
            ProtocolError: the page has other columns or another number of records than announced.
            Fatal: the page is larger than allowed.
        """
        form = CsvForm(
            owner=self._owner,
            names=self._plan.schema.names,
            columns=self._columns,
            keys=partial(keys.of_csv, self._plan.schema),
            id_name=describe.ID,
            id_form=keys.ID_FORM,
        )
        page = CsvRecords(form, Allowance(self._bounds.unpacked_bytes, math.inf), self._rejected)
        try:
            with self._bytes() as file:
                for batch in page.batches(file):
                    self._refuse_surplus(page.seen)
                    yield batch
        except _UNREADABLE as error:
            raise ProtocolError(
                f"{self._owner}: a Bulk page is not readable CSV ({type(error).__name__}).",
                cure="Nothing of this window counts; run again.",
            ) from None
        except TooLarge as excess:
            raise Fatal(
                f"{self._owner}: a Bulk page was not unpacked to its end: {excess}.",
                cure="Nothing of this window counts. If the object really is that large, set "
                "CRM_MAX_FILE_MB higher; if not, report it to the vendor.",
            ) from None
        if self._expected is not None and page.seen != self._expected:
            raise self._miscounted(f"{page.seen:,}")

    def _refuse_surplus(self, seen: int) -> None:
        """Stop at more records than announced: an endless page would fill the disk."""
        if self._expected is not None and seen > self._expected:
            raise self._miscounted("more")

    def _miscounted(self, held: str) -> ProtocolError:
        return ProtocolError(
            f"{self._owner}: a Bulk page announced {self._expected} records and held {held}.",
            cure="Nothing of this window counts; run again.",
        )

    def _bytes(self) -> Any:
        # igzip takes less than half the time of zlib, whose decompression is a third of the time of a page.
        return igzip.open(self._file) if self._file.suffix == ".gz" else self._file.open("rb")

    def _columns(self, cells: list[str]) -> list[str]:
        names = list(self._plan.schema.names)
        if cells == names:
            return names
        missing = [name for name in names if name not in cells]
        surplus = len([name for name in cells if name not in names])
        raise ProtocolError(
            f"{self._owner}: a Bulk page has other columns than requested (missing: "
            f"{', '.join(missing[:20]) or 'none'}; not requested: {surplus}"
            f"{'' if missing or surplus else '; other order'}).",
            cure="Nothing of this window counts; run again, which reads the fields again.",
        )
