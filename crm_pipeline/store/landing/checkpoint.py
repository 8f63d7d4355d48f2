"""Keep pages as received until their window has committed, so that no call is repeated after a crash.

A checkpoint is a folder of one window below `spool/`. `request.json` holds the request to the vendor (a job
that goes on by itself), `<page>.json` the facts of a page, `<page>.csv...` its bytes. Once the page's records are
in a batch, `<page>.done.json` replaces both. A page that the disk has damaged is requested again.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import crc32_of
from crm_pipeline.store.files.seal import sealed

_log = structlog.get_logger("crm_pipeline.store")
_REQUEST = "request.json"
_DONE = ".done.json"


@dataclass(frozen=True)
class CheckpointPage:
    """One page that has arrived whole.

    Attributes:
        facts: the connector's notes on the page.
        file: the bytes as received; removed once the page is done.
    """

    number: int
    file: Path
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class PageDone:
    """The result of one page.

    Attributes:
        batches: ids of the batches and quarantine files with its records.
        months: landed records by month of modification.
        read: records of the page; `landed` are those that no earlier window held.
        counted: whether the vendor's count of the window includes them.
        facts: the connector's notes on the page.
        withheld: records of erased persons, which were not landed.
    """

    batches: tuple[str, ...]
    months: Mapping[str, int]
    read: int
    landed: int
    deleted: int
    route: str
    counted: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    withheld: int = 0


class Checkpoint:
    """The pages of one window; safe with threads that handle different pages.

    Args:
        folder: made at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last_number = 0
        self._lock = threading.Lock()

    @property
    def request(self) -> Mapping[str, Any] | None:
        """The request to the vendor; None where there is nothing to resume."""
        return self._read(_REQUEST)

    def begin(self, request: Mapping[str, Any]) -> None:
        """Note the request, so that another process can resume it."""
        files.write_json(self.folder / _REQUEST, request, "request")

    def fresh_number(self) -> int:
        """Return an unused page number, for pages that arrive in any order."""
        with self._lock:
            if not self._last_number:
                taken = (int(path.name[:5]) for path in self.folder.glob("[0-9]*"))
                self._last_number = max(taken, default=0)
            self._last_number += 1
            return self._last_number

    def path(self, number: int, suffix: str) -> Path:
        """Return the path for the bytes of a page."""
        return files.make_folder(self.folder) / f"{number:05d}{suffix}"

    def keep(self, number: int, file: Path, facts: Mapping[str, Any]) -> CheckpointPage:
        """Note that a page has arrived whole; neither note nor bytes are flushed, see `discard_unflushed`."""
        record = {
            "file": file.name,
            "bytes": file.stat().st_size,
            "crc32": crc32_of(file),
            "facts": dict(facts),
        }
        path = self.folder / _note(number)
        temporary = path.with_suffix(files.TEMPORARY_SUFFIX)
        with files.explained(path):
            reached("page", "begin")
            temporary.touch(mode=0o600)
            temporary.write_bytes(sealed(record))
            reached("page", "written")
            temporary.replace(path)
            reached("page", "named")
        return CheckpointPage(number, file, facts)

    def kept(self, number: int) -> CheckpointPage | None:
        """Return a page that has arrived; its bytes are gone if it is done. None if it has not arrived."""
        record = self._read(_done_note(number))
        if record is not None and "file" in record:
            return CheckpointPage(number, self.folder / record["file"], record["facts"])
        record = self._read(_note(number))
        if record is None:
            return None
        file = self.folder / record["file"]
        if not is_whole(file, record):
            _log.warning("a kept page is damaged and is requested again", file=str(file))
            return None
        return CheckpointPage(number, file, record["facts"])

    def done(self, number: int, page: PageDone) -> None:
        """Note that the records of a page are in batches, and remove its bytes."""
        record = self._read(_note(number)) or {}
        done = {**record, "page": asdict(page)}
        files.write_json(self.folder / _done_note(number), done, "page_done")
        unused = [_note(number), *([record["file"]] if "file" in record else [])]
        # A file that cannot be removed goes with the folder at the commit.
        files.discard(*(self.folder / name for name in unused))

    def is_done(self, number: int) -> bool:
        """Say whether the records of a page are in batches."""
        return self._read(_done_note(number)) is not None

    def all_done(self) -> Iterator[PageDone]:
        """Yield the result of each page that is done."""
        for path in sorted(self.folder.glob(f"?????{_DONE}")):
            record = self._read(path.name)
            if record is not None:
                yield _page_done(record)

    def discard_unflushed(self) -> None:
        """Remove files that a power cut may have damaged; those of finished pages were flushed."""
        for path in self.folder.glob("[0-9]*"):
            if not path.name.endswith(_DONE):
                path.unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return a note; None where there is none, or the disk has damaged it."""
        try:
            record = files.read_json(self.folder / name)
        except FileNotFoundError:
            return None
        except CorruptFile as error:
            _log.warning("a checkpoint's note is damaged and is ignored", reason=error.message)
            return None
        if not is_note(name, record):
            _log.warning("a checkpoint's note is of another page and is ignored", note=name)
            return None
        return record


def is_note(name: str, record: Mapping[str, Any]) -> bool:
    """Say whether a note fits its file name; an undamaged note may be of another page."""
    has_file = {"file", "facts"} <= record.keys()
    is_done = isinstance(record.get("page"), Mapping)  # in a request it may be a number
    if name == _REQUEST:
        return not has_file and not is_done
    if has_file and not str(record["file"]).startswith(name[:5]):
        return False
    if not name.endswith(_DONE):
        return has_file and not is_done
    try:
        _page_done(record)
    except (KeyError, TypeError):
        return False
    return True


def _page_done(record: Mapping[str, Any]) -> PageDone:
    page = record["page"]
    return PageDone(**{**page, "batches": tuple(page["batches"])})


def _note(number: int) -> str:
    return f"{number:05d}.json"


def _done_note(number: int) -> str:
    return f"{number:05d}{_DONE}"


def is_whole(file: Path, record: Mapping[str, Any]) -> bool:
    """Say whether the bytes of a page are as they arrived; earlier versions noted only their number."""
    try:
        if file.stat().st_size != record.get("bytes"):
            return False
        return "crc32" not in record or crc32_of(file) == record["crc32"]
    except OSError:
        return False
