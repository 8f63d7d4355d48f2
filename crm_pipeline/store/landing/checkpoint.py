"""Pages as received, kept until their window has committed, so that a crash costs no call twice.

A spool is a folder of one window: `request.json` says what was asked of the vendor (a job that
lives on by itself), `<page>.json` what is known of a page, `<page>.csv...` are its bytes. When its
records are in a batch, `<page>.done.json` takes the place of both. What the disk has damaged is as if
it had not arrived: it is asked for again.
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
    """One page that arrived whole.

    Attributes:
        facts: what the connector noted beside it.
        file: the bytes as received; not there any more once the page is done.
    """

    number: int
    file: Path
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class PageDone:
    """What became of one page.

    Attributes:
        batches: ids of the batches and quarantine files that its records are in.
        months: landed records by month of modification.
        read: records of the page, `landed` those that an earlier window did not hold.
        counted: whether the vendor's count of the window includes them.
        facts: what the connector noted of the page.
    """

    batches: tuple[str, ...]
    months: Mapping[str, int]
    read: int
    landed: int
    deleted: int
    route: str
    counted: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint:
    """The pages of one window; safe with threads that each handle pages of their own.

    Args:
        folder: made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._given = 0
        self._lock = threading.Lock()

    @property
    def request(self) -> Mapping[str, Any] | None:
        """What was asked of the vendor; None where nothing is to be resumed."""
        return self._read(_REQUEST)

    def begin(self, request: Mapping[str, Any]) -> None:
        """Note what was asked, so that another process can go on with it."""
        files.write_json(self.folder / _REQUEST, request, "request")

    def fresh_number(self) -> int:
        """Return a number that no page of this window has, for pages that come in no order."""
        with self._lock:
            if not self._given:
                taken = (int(path.name[:5]) for path in self.folder.glob("[0-9]*"))
                self._given = max(taken, default=0)
            self._given += 1
            return self._given

    def path(self, number: int, suffix: str) -> Path:
        """Return where the bytes of a page belong."""
        return files.make_folder(self.folder) / f"{number:05d}{suffix}"

    def keep(self, number: int, file: Path, facts: Mapping[str, Any]) -> CheckpointPage:
        """State that a page has arrived whole; not flushed, as its bytes are not: see `distrust`."""
        record = {
            "file": file.name,
            "bytes": file.stat().st_size,
            "crc32": crc32_of(file),
            "facts": dict(facts),
        }
        place = self.folder / _note(number)
        temporary = place.with_suffix(files.TEMPORARY_SUFFIX)
        with files.explained(place):
            reached("page", "begin")
            temporary.touch(mode=0o600)
            temporary.write_bytes(sealed(record))
            reached("page", "written")
            temporary.replace(place)
            reached("page", "named")
        return CheckpointPage(number, file, facts)

    def kept(self, number: int) -> CheckpointPage | None:
        """Return a page that has arrived, with its bytes or, if it is done, without."""
        record = self._read(_done_note(number))
        if record is not None and "file" in record:
            return CheckpointPage(number, self.folder / record["file"], record["facts"])
        record = self._read(_note(number))
        if record is None:
            return None
        file = self.folder / record["file"]
        if not is_whole(file, record):
            _log.warning("a spooled page is damaged and is asked for again", file=str(file))
            return None
        return CheckpointPage(number, file, record["facts"])

    def done(self, number: int, page: PageDone) -> None:
        """State that the records of a page are in batches, and remove its bytes."""
        record = self._read(_note(number)) or {}
        told = {**record, "page": asdict(page)}
        files.write_json(self.folder / _done_note(number), told, "page_done")
        gone = [_note(number), *([record["file"]] if "file" in record else [])]
        # What stays, the commit clears with the folder.
        files.discard(*(self.folder / name for name in gone))

    def is_done(self, number: int) -> bool:
        """Say whether the records of a page are in batches."""
        return self._read(_done_note(number)) is not None

    def all_done(self) -> Iterator[PageDone]:
        """Yield what was stated of each page that is done."""
        for path in sorted(self.folder.glob(f"?????{_DONE}")):
            record = self._read(path.name)
            if record is not None:
                yield _page_done(record)

    def distrust(self) -> None:
        """Remove what a power cut may have damaged; of pages that are done all was flushed."""
        for path in self.folder.glob("[0-9]*"):
            if not path.name.endswith(_DONE):
                path.unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        """Return a note; None where there is none, or one that the disk has damaged."""
        try:
            record = files.read_json(self.folder / name)
        except FileNotFoundError:
            return None
        except CorruptFile as error:
            _log.warning("a note of the spool is damaged and does not count", reason=error.message)
            return None
        if not is_note(name, record):
            _log.warning("a note of the spool is another one's and does not count", note=name)
            return None
        return record


def is_note(name: str, record: Mapping[str, Any]) -> bool:
    """Say whether a note belongs under its name; a whole one of another page is whole as well."""
    has_file = {"file", "facts"} <= record.keys()
    is_done = isinstance(record.get("page"), Mapping)  # of a request it may be a number
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
    """Say whether the bytes of a page are as they arrived; earlier versions noted only how many."""
    try:
        if file.stat().st_size != record.get("bytes"):
            return False
        return "crc32" not in record or crc32_of(file) == record["crc32"]
    except OSError:
        return False
