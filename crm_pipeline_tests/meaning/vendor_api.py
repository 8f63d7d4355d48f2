"""One account at a vendor, read by plain HTTP: the common part of the four vendors' readers."""

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
        """Return the JSON of a response; None where there is no body."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON of the response to a request with a body."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        for _ in range(60):
            response = self.session.request(method, self.url + path, timeout=60, **options)
            if response.status_code != requests.codes.too_many_requests:
                break
            time.sleep(0.25)  # the sandbox counts its rolling windows in real seconds
        assert response.ok, f"{method} {path}: {response.status_code} {response.text[:300]}"
        return response.json() if response.content else None
