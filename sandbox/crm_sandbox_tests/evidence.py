"""What tests show about operations: compared with the vendor's description, tried by which client.

Nothing is declared by hand: `contracts.validate` says what it compared, and the journal of the sandbox says
what a client did in a test that is marked `client(name)`. At the end of a run this is compared with
`docs/coverage.json`, of which the coverage table is made: what was shown has to stand there, and of a file
whose tests all ran nothing else. `--write-coverage` writes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crm_sandbox.coverage import EVIDENCE
from crm_sandbox.journal import Journal
from crm_sandbox.registry import find_vendors

ROOT = Path(__file__).parent
HOW = (
    "python -m pytest sandbox/crm_sandbox_tests --write-coverage (or only files that are named here), "
    "then python -m crm_sandbox.coverage"
)
_VENDORS = find_vendors()


@dataclass
class Evidence:
    """What the tests of a run have shown so far.

    Attributes:
        shown: by test file, kind and operation; the kind is `compared`, or the name of a client.
        collected: tests by file.
        passed: those that ran to their end.
        unlisted: requests that were answered although no table of operations has them.
    """

    shown: set[tuple[str, str, str]] = field(default_factory=set)
    collected: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    unlisted: set[str] = field(default_factory=set)
    file: str = ""
    client: str = ""

    def compared(self, vendor: str, method: str, path: str) -> None:
        """Note that an answer was compared with its description."""
        found = _VENDORS[vendor].operations.find(method.upper(), path)
        if self.file and found is not None:
            self.shown.add((self.file, "compared", f"{vendor} {found}"))

    def asked(self, vendor: str, method: str, path: str, status: int) -> None:
        """Note a request that was answered."""
        if not self.file or vendor not in _VENDORS or not 200 <= status < 300:
            return
        found = _VENDORS[vendor].operations.find(method, path)
        if found is None:
            self.unlisted.add(f"{vendor} {method} {path}")
        elif self.client:
            self.shown.add((self.file, self.client, f"{vendor} {found}"))

    def merge(self, other: dict[str, Any]) -> None:
        """Add what another process has shown; each of them has collected everything."""
        self.shown |= {(one, two, three) for one, two, three in other["shown"]}
        self.collected = Counter(other["collected"])
        self.passed += Counter(other["passed"])
        self.unlisted |= set(other["unlisted"])

    def plain(self) -> dict[str, Any]:
        """Return it as values that another process can read."""
        shown = [list(one) for one in self.shown]
        return {
            "shown": shown,
            "collected": dict(self.collected),
            "passed": dict(self.passed),
            "unlisted": list(self.unlisted),
        }

    def whole(self) -> set[str]:
        """Return the files whose tests all ran."""
        return {name for name, count in self.collected.items() if self.passed[name] == count}


EVIDENCE_OF_RUN = Evidence()


def grouped(shown: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, list[str]]]:
    """Return what was shown by file and kind."""
    made: dict[str, dict[str, list[str]]] = {}
    for file, kind, operation in sorted(shown):
        made.setdefault(file, {}).setdefault(kind, []).append(operation)
    return made


def flat(kept: dict[str, dict[str, list[str]]]) -> set[tuple[str, str, str]]:
    """Return what is kept in a file as it is noted."""
    return {(f, k, one) for f, kinds in kept.items() for k, some in kinds.items() for one in some}


def read() -> dict[str, Any]:
    """Return what is kept."""
    found: dict[str, Any] = json.loads(EVIDENCE.read_text(encoding="utf-8"))
    return found


def write(**changed: Any) -> None:
    """Keep it, with some parts changed."""
    whole = (read() if EVIDENCE.exists() else {"shown": {}, "not_built": {}}) | changed
    EVIDENCE.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def problems(run: Evidence, kept: set[tuple[str, str, str]]) -> list[str]:
    """Return what the kept evidence and a run disagree about."""
    found = [f"shown and not kept: {' '.join(one)}" for one in sorted(run.shown - kept)]
    gone = {one for one in kept if one[0] in run.whole()} - run.shown
    found += [f"kept and not shown any more: {' '.join(one)}" for one in sorted(gone)]
    return found + [f"answered and in no table: {one}" for one in sorted(run.unlisted)]


class EvidencePlugin:
    """Collects the evidence of a run and compares it at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_partial = any("::" in str(one) for one in config.args)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if name := _file_of(item):
                EVIDENCE_OF_RUN.collected[name] += 1

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        mark = item.get_closest_marker("client")
        EVIDENCE_OF_RUN.file = _file_of(item)
        EVIDENCE_OF_RUN.client = str(mark.args[0]) if mark else ""
        try:
            return (yield)
        finally:
            EVIDENCE_OF_RUN.file = EVIDENCE_OF_RUN.client = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:
        report = yield
        if report.when == "call" and report.passed and (name := _file_of(item)):
            EVIDENCE_OF_RUN.passed[name] += 1
        return report

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if found := getattr(node, "workeroutput", {}).get("evidence"):
            EVIDENCE_OF_RUN.merge(json.loads(found))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["evidence"] = json.dumps(EVIDENCE_OF_RUN.plain())
            return
        if self._is_partial:
            EVIDENCE_OF_RUN.collected.clear()
        kept = flat(read()["shown"]) if EVIDENCE.exists() else set()
        if self._config.getoption("--write-coverage"):
            stale = {one for one in kept if one[0] in EVIDENCE_OF_RUN.whole()}
            write(shown=grouped((kept - stale) | EVIDENCE_OF_RUN.shown))
        elif found := problems(EVIDENCE_OF_RUN, kept):
            self._tell(["The coverage table is not current:", *found[:20], f"To mend it: {HOW}"])
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _tell(self, lines: list[str]) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line("")
        for line in lines:
            reporter.write_line(line, red=True)


def _file_of(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""


def watch_journals() -> None:
    """Let every sandbox of this process say what it was asked."""
    record = Journal.record

    def watched(self: Journal, **entry: Any) -> None:
        if not entry.get("fault"):
            asked = (entry["vendor"], entry["method"], entry["path"], entry["status"])
            EVIDENCE_OF_RUN.asked(*asked)
        record(self, **entry)

    Journal.record = watched  # type: ignore[method-assign]
