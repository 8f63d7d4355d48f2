"""Records rendered ahead of the pages that will show them.

In the order of time the records of a page lie all over the table, so that one page costs as much as eight.
Whoever asks for a page by time asks for the next one, too: those are rendered with it and kept. The same is done
for small pages in any order, as planning the query takes longer than rendering a few records.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

PAGES = 8
Render = Callable[[list[Any]], dict[Any, str]]


class RowsAhead:
    """JSON texts of records by shape and id, as long as nothing changes; the longest unused go first.

    Args:
        most_characters: how much is kept.
    """

    def __init__(self, most_characters: int = 256 << 20) -> None:
        self._most = most_characters
        self._lock = threading.Lock()
        self._texts: OrderedDict[tuple[Hashable, Any], str] = OrderedDict()
        self._characters = 0
        self._revision = -1

    def get(
        self,
        shape: Hashable,
        revision: int,
        ids: Sequence[Any],
        following: Iterable[Any],
        make: Render,
    ) -> dict[Any, str]:
        """Return the texts of records that are there, by id.

        Args:
            shape: in which they are shown.
            revision: of the data.
            ids: of the records.
            following: those that will be asked for next; looked at where some are not there yet.
            make: renders some.
        """
        found = self._kept(shape, revision, ids)
        if len(found) < len(ids):
            both = [*ids, *following]
            known = self._kept(shape, revision, both)
            made = make([one for one in both if one not in known])
            self._keep(shape, revision, made)
            found = {one: text for one in ids if (text := made.get(one) or known.get(one))}
        return found

    def _kept(self, shape: Hashable, revision: int, ids: Sequence[Any]) -> dict[Any, str]:
        with self._lock:
            if revision != self._revision:
                return {}
            found = {}
            for one in ids:
                text = self._texts.get((shape, one))
                if text is not None:
                    self._texts.move_to_end((shape, one))
                    found[one] = text
            return found

    def _keep(self, shape: Hashable, revision: int, made: dict[Any, str]) -> None:
        with self._lock:
            if revision > self._revision:
                self._texts.clear()
                self._characters, self._revision = 0, revision
            if revision < self._revision:
                return
            for one, text in made.items():
                before = self._texts.pop((shape, one), "")
                self._texts[shape, one] = text
                self._characters += len(text) - len(before)
            while self._characters > self._most:
                _, text = self._texts.popitem(last=False)
                self._characters -= len(text)
