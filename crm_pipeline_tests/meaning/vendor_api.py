"""One account at a vendor, asked by plain HTTP: what the four vendors' readers have in common."""

import time
from dataclasses import dataclass
from typing import Any

import requests

Record = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What an account says of itself.

    Attributes:
        zone: IANA name of the zone whose days the account counts in.
        currency: ISO code of its main currency.
    """

    zone: str
    currency: str


class VendorApi:
    """Answers questions about one account.

    Args:
        url: where the vendor stands.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def live(self, obj: str) -> list[Record]:
        """Return all live records of an object."""
        raise NotImplementedError

    def gone(self, obj: str) -> list[Record]:
        """Return the deleted records that the vendor tells of."""
        raise NotImplementedError

    def facts(self) -> Facts:
        """Return zone and main currency."""
        raise NotImplementedError

    def labels(self, obj: str, field: str) -> dict[str, str]:
        """Return the labels of a pick list by its stored values."""
        raise NotImplementedError

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer, None where there is no body."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON of an answer to a question that needs a body."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        for _ in range(60):
            answer = self.session.request(method, self.url + path, timeout=60, **options)
            if answer.status_code != requests.codes.too_many_requests:
                break
            time.sleep(0.25)  # the sandbox counts its rolling windows in real seconds
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None
