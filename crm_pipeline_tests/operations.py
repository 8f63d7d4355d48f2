"""The operations that connectors use, compared with docs/vendor-operations.md and the vendors' descriptions.

The documentation lists every operation that our connectors use, and says whether the sandbox's responses are
compared with the vendor's description. The responses are recorded in the emulation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_pipeline.connectors.base import Account
from crm_sandbox.server import SandboxServer
from crm_sandbox_tests.contracts import Difference, described, validate

PAGE = Path(__file__).parents[1] / "docs" / "vendor-operations.md"
_ROW = re.compile(
    r"^\| (?P<vendor>\w+) \| `(?P<method>[A-Z]+) (?P<path>\S+)` \| (?P<verdict>.+) \|$"
)
# A few responses of each kind are enough for an operation that is used hundreds of times.
_MOST = 3


@dataclass(frozen=True)
class Response:
    """One response of an emulation to a connector."""

    method: str
    path: str
    status: int
    body: Any


@dataclass(frozen=True)
class Operation:
    """A row of the documentation.

    Attributes:
        path: as the vendor writes it, with names in braces for variable parts.
        verdict: `yes`, perhaps with a remark, or `no` with the reason.
    """

    method: str
    path: str
    verdict: str

    @property
    def is_compared(self) -> bool:
        """Whether the documentation says that the responses are compared."""
        return re.match(r"yes\b", self.verdict) is not None

    def fits(self, response: Response) -> bool:
        """Say whether a response belongs to this operation."""
        parts = re.split(r"\{\w+\}", self.path)
        pattern = "[^/]+".join(re.escape(part) for part in parts)
        return response.method == self.method and re.fullmatch(pattern, response.path) is not None


@contextmanager
def recorded(sandbox: SandboxServer, vendor: str, recordings: list[Response]) -> Iterator[None]:
    """Record the responses of a vendor's emulation."""
    emulation: Any = sandbox.emulations[vendor]
    handle = emulation.handle

    def handled(request: Any) -> Any:
        response = handle(request)
        body = _decoded(response.unpacked())
        recordings.append(Response(request.method, request.path, response.status, body))
        return response

    emulation.handle = handled
    try:
        yield
    finally:
        emulation.handle = handle


def documented(vendor: str) -> list[Operation]:
    """Return the rows of the documentation about one vendor."""
    rows = (_ROW.match(line) for line in PAGE.read_text(encoding="utf-8").splitlines())
    return [
        Operation(row["method"], row["path"], row["verdict"])
        for row in rows
        if row is not None and row["vendor"].lower() == vendor
    ]


def looked_at(account: Account, objects: Sequence[str]) -> None:
    """Call what commands call besides reading: check, list, describe, preview."""
    account.check()
    account.identity()
    account.objects()
    for obj in objects:
        account.preview(obj, 2)


def by_operation(
    operations: Sequence[Operation], responses: Sequence[Response]
) -> dict[Operation, list[Response]]:
    """Return responses by their operation, the most specific one.

    Raises:
        AssertionError: an operation is used and not listed, or listed and not used.
    """
    responses_of: dict[Operation, list[Response]] = {operation: [] for operation in operations}
    missing = set()
    for response in responses:
        fitting = [operation for operation in operations if operation.fits(response)]
        if fitting:
            responses_of[min(fitting, key=lambda operation: operation.path.count("{"))].append(
                response
            )
        else:
            missing.add((response.method, re.sub(r"\d{3,}|[0-9a-f-]{30,}", "…", response.path)))
    assert missing == set(), "used by the connector and not in docs/vendor-operations.md"
    idle = [
        f"{operation.method} {operation.path}"
        for operation, used in responses_of.items()
        if not used
    ]
    assert idle == [], "in docs/vendor-operations.md and not used by the connector"
    return responses_of


@dataclass(frozen=True)
class Descriptions:
    """Where the operations of a vendor are described, and what is known to differ.

    Attributes:
        vendor: the folder with the descriptions.
        files: the prefix in descriptions and their files, by prefix of paths.
        besides: JSON paths of known differences, by path; "" holds for every path.
        aliases: paths that the descriptions write in another way.
        closed: whether properties that a description does not name are differences.
        complete: whether those that it requires have to be there.
    """

    vendor: str
    files: Mapping[str, tuple[str, Sequence[str]]]
    besides: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, str] = field(default_factory=dict)
    closed: bool = True
    complete: bool = True

    def location(self, operation: Operation) -> tuple[str, str] | None:
        """Return the file and the path under which an operation is described."""
        for prefix, (instead, names) in self.files.items():
            path = self.aliases.get(operation.path, operation.path)
            if not path.startswith(prefix):
                continue
            wanted = instead + path.removeprefix(prefix)
            for name in names:
                if operation.method.lower() in described(self.vendor, name)["paths"].get(
                    wanted, {}
                ):
                    return name, wanted
        return None

    def compare(
        self, operation: Operation, responses: Sequence[Response], *, strictly: bool
    ) -> None:
        """Compare successful responses with the description.

        Raises:
            Difference: a response differs; `strictly` counts known differences as well.
            LookupError: the description has no such response.
        """
        described_at = self.location(operation)
        if described_at is None:
            raise LookupError(f"no description has {operation.method} {operation.path}")
        exceptions = (
            () if strictly else (*self.besides.get("", ()), *self.besides.get(operation.path, ()))
        )
        for response in _some(responses):
            # Complete and partial responses of a batch have one description.
            status = 200 if response.status == 207 else response.status
            validate(
                *(
                    self.vendor,
                    described_at[0],
                    operation.method,
                    described_at[1],
                    status,
                    response.body,
                ),
                closed=self.closed,
                complete=self.complete,
                besides=exceptions,
            )


def assert_verdicts(
    descriptions: Descriptions, used: Mapping[Operation, Sequence[Response]]
) -> None:
    """Compare the responses of each operation, as the documentation says.

    An operation that is not compared must not be comparable: no description has it, or the responses differ.
    """
    for operation, responses in used.items():
        name = f"{operation.method} {operation.path}"
        if operation.is_compared:
            descriptions.compare(operation, responses, strictly=False)
            continue
        try:
            descriptions.compare(operation, responses, strictly=True)
        except (Difference, LookupError):
            continue
        raise AssertionError(
            f"{name} can be compared, and docs/vendor-operations.md says that it is not"
        )


def _some(responses: Sequence[Response]) -> list[Response]:
    kinds: dict[tuple[int, str], list[Response]] = {}
    for response in responses:
        if response.status < 400:
            kinds.setdefault((response.status, response.path), []).append(response)
    return [response for alike in kinds.values() for response in alike[:_MOST]]


def _decoded(response: Any) -> Any:
    if not response.body:
        return None
    try:
        return json.loads(bytes(response.body))
    except ValueError:
        return bytes(response.body)
