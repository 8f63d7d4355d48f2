"""Erase a subject from small files that hold texts: notes in JSON, logs, whatever runs leave behind."""

import os
from collections.abc import Iterator
from pathlib import Path

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.subject import Erased, Subject


class TextsStore:
    """Files whose texts may quote a value, as a store of personal data; they should hold none.

    Args:
        data: the data folder.
        name: of the store.
        covers: folders and files below the data folder.
    """

    subject_keys = ("e-mail addresses in any text",)

    def __init__(self, data: Path, name: str, covers: tuple[str, ...]) -> None:
        self._data = data
        self.name = name
        self.covers = covers

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        redaction = Redaction(subject.addresses)
        for path in self._files():
            try:
                before = path.read_bytes()
            except FileNotFoundError:
                continue
            after = redaction.bytes(before)
            if after == before:
                continue
            done.add(path, 0, 1)
            if apply:
                _replace(path, after, redaction)
        return done

    def _files(self) -> Iterator[Path]:
        for name in self.covers:
            top = self._data / name
            if top.is_file():
                yield top
            for folder, _, names in os.walk(top):
                paths = (Path(folder, each) for each in sorted(names))
                yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _replace(path: Path, after: bytes, redaction: Redaction) -> None:
    if path.suffix == ".json":
        try:
            value, is_sealed = files.read_sealed(path)
        except CorruptFile:
            is_sealed = False
        if is_sealed:
            files.write_json(path, redaction.value(value))
            return
    with files.replacing(path) as temporary:
        temporary.write_bytes(after)
