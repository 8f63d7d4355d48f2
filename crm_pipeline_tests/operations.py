"""What the connectors ask of a vendor, held against docs/vendor-operations.md and the vendors' descriptions.

The documentation lists every operation that our connectors use and says of each whether the answers of
the sandbox are compared with the vendor's description. Answers are taken where the emulation gives them.
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
# Of an operation that is used hundreds of times a few answers of each kind are enough.
_MOST = 3


@dataclass(frozen=True)
class Answer:
    """One answer of an emulation to a connector."""

    method: str
    path: str
    status: int
    body: Any


@dataclass(frozen=True)
class Operation:
    """A row of the documentation.

    Attributes:
        path: as the vendor writes it, with names in braces for what varies.
        verdict: `yes`, perhaps with a remark, or `no` with the reason.
    """

    method: str
    path: str
    verdict: str

    @property
    def is_compared(self) -> bool:
        """Whether the documentation says that the answers are compared."""
        return re.match(r"yes\b", self.verdict) is not None

    def fits(self, answer: Answer) -> bool:
        """Say whether an answer is one of this operation."""
        parts = re.split(r"\{\w+\}", self.path)
        pattern = "[^/]+".join(re.escape(part) for part in parts)
        return answer.method == self.method and re.fullmatch(pattern, answer.path) is not None


@contextmanager
def recorded(sandbox: SandboxServer, vendor: str, found: list[Answer]) -> Iterator[None]:
    """Collect what the emulation of a vendor answers."""
    emulation: Any = sandbox.emulations[vendor]
    handle = emulation.handle

    def handled(request: Any) -> Any:
        response = handle(request)
        body = _decoded(response.unpacked())
        found.append(Answer(request.method, request.path, response.status, body))
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
    """Do what commands do beside reading: check, list, describe, preview."""
    account.check()
    account.identity()
    account.objects()
    for obj in objects:
        account.preview(obj, 2)


def by_operation(
    operations: Sequence[Operation], answers: Sequence[Answer]
) -> dict[Operation, list[Answer]]:
    """Sort answers by the operation that they belong to, the most particular one.

    Raises:
        AssertionError: an operation is used and not listed, or listed and not used.
    """
    found: dict[Operation, list[Answer]] = {one: [] for one in operations}
    missing = set()
    for answer in answers:
        fitting = [one for one in operations if one.fits(answer)]
        if fitting:
            found[min(fitting, key=lambda one: one.path.count("{"))].append(answer)
        else:
            missing.add((answer.method, re.sub(r"\d{3,}|[0-9a-f-]{30,}", "…", answer.path)))
    assert missing == set(), "used by the connector and not in docs/vendor-operations.md"
    idle = [f"{one.method} {one.path}" for one, used in found.items() if not used]
    assert idle == [], "in docs/vendor-operations.md and not used by the connector"
    return found


@dataclass(frozen=True)
class Descriptions:
    """Where the operations of a vendor are described, and what is known to differ.

    Attributes:
        vendor: the folder with the descriptions.
        files: prefix of paths -> what stands for it in descriptions, and their files.
        besides: path -> JSON paths of known differences; "" holds for every path.
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

    def place(self, operation: Operation) -> tuple[str, str] | None:
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

    def compare(self, operation: Operation, answers: Sequence[Answer], *, strictly: bool) -> None:
        """Compare answers that are no refusals with the description.

        Raises:
            Difference: one differs, `strictly` in what is known to differ as well.
            LookupError: the description has no such answer.
        """
        place = self.place(operation)
        if place is None:
            raise LookupError(f"no description has {operation.method} {operation.path}")
        known = (
            () if strictly else (*self.besides.get("", ()), *self.besides.get(operation.path, ()))
        )
        for answer in _some(answers):
            # Whole and partial answers of a batch are described as one.
            status = 200 if answer.status == 207 else answer.status
            validate(
                *(self.vendor, place[0], operation.method, place[1], status, answer.body),
                closed=self.closed,
                complete=self.complete,
                besides=known,
            )


def assert_verdicts(descriptions: Descriptions, used: Mapping[Operation, Sequence[Answer]]) -> None:
    """Compare the answers of each operation, as the documentation says.

    What it says is not compared must not be comparable: no description has the operation, or the answers
    differ from it.
    """
    for operation, answers in used.items():
        name = f"{operation.method} {operation.path}"
        if operation.is_compared:
            descriptions.compare(operation, answers, strictly=False)
            continue
        try:
            descriptions.compare(operation, answers, strictly=True)
        except (Difference, LookupError):
            continue
        raise AssertionError(
            f"{name} can be compared, and docs/vendor-operations.md says that it is not"
        )


def _some(answers: Sequence[Answer]) -> list[Answer]:
    kinds: dict[tuple[int, str], list[Answer]] = {}
    for answer in answers:
        if answer.status < 400:
            kinds.setdefault((answer.status, answer.path), []).append(answer)
    return [one for found in kinds.values() for one in found[:_MOST]]


def _decoded(response: Any) -> Any:
    if not response.body:
        return None
    try:
        return json.loads(bytes(response.body))
    except ValueError:
        return bytes(response.body)
