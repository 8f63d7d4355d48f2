"""Tables under several writers at once, and under writers that are killed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from crm_pipeline.kernel.errors import CommitConflict
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.store.tables.test_tables import NAME, commit, rows_of

HERE = Path(__file__).parents[1]


def check_history(tables: Tables, name: str = NAME) -> list[str]:
    """Walk all releases; return the versions of one table, each the child of the one before."""
    versions: list[str] = []
    last: Mapping[str, str] = {}
    for number in range(1, tables.current().number + 1):
        release = tables.release(number)
        assert release.number == number
        changed = {n for n in release.tables if release.tables[n] != last.get(n)}
        assert len(changed) == 1
        assert set(last) <= set(release.tables)
        if name in changed:
            version = tables.version(name, release)
            assert version is not None
            assert version.parent == (versions[-1] if versions else None)
            assert version.base[0].exists()
            versions.append(version.version)
        last = release.tables
    return versions


def test_threads_that_commit_at_once(tables: Tables) -> None:
    """No release is lost, numbers have no gaps, and each parent has one child."""

    def work(number: int) -> int:
        name = NAME if number % 2 else f"normalized/own{number}/contacts"
        won = 0
        for turn in range(12):
            try:
                commit(tables, {number: str(turn)}, name)
                won += 1
            except CommitConflict:
                pass
        return won

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(work, range(4)))
    assert won[0] == won[2] == 12  # nobody else writes their tables
    assert won[1] + won[3] == len(check_history(tables))
    assert tables.current().number == sum(won)
    folders = list(tables.folder(NAME).iterdir())
    assert len(folders) == won[1] + won[3]  # the losers' files are gone


RACER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from killed_writer import commit_version
from crm_pipeline.kernel.errors import CommitConflict
print("ready", flush=True)
sys.stdin.readline()
won = 0
for turn in range(25):
    try:
        commit_version(Path(sys.argv[2]), "normalized/acme/contacts", turn)
        won += 1
    except CommitConflict:
        pass
print(won)
"""


def test_processes_that_commit_at_once(tables: Tables, tmp_path: Path) -> None:
    """Two processes on one table: every successful commit is in the history, once."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(HERE), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    won = 0
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        out, _ = racer.communicate(timeout=30)
        assert racer.returncode == 0
        won += int(out)
    assert won >= 25
    assert len(check_history(tables)) == tables.current().number == won
    assert len(list(tables.folder(NAME).iterdir())) == won


@contextmanager
def killed(scenario: str, template: Path, folder: Path) -> Iterator[Iterator[tuple[Path, str]]]:
    """Run a scenario on copies of a folder, killed at its first write, at its second and so on; yield each outcome."""
    program = subprocess.Popen(
        [sys.executable, str(HERE / "killed_writer.py"), scenario],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def outcomes() -> Iterator[tuple[Path, str]]:
        assert program.stdin is not None
        assert program.stdout is not None
        for number in range(1, 200):
            root = shutil.copytree(template, folder / str(number))
            program.stdin.write(f"{root} {number}\n")
            program.stdin.flush()
            outcome = program.stdout.readline().strip()
            yield root, outcome
            if outcome != "killed":
                assert outcome == "done 0"
                return
        raise AssertionError("the scenario never ended")

    with program:
        yield outcomes()
        assert program.stdin is not None
        program.stdin.close()


def test_kill_at_any_write_keeps_whole_releases(tmp_path: Path) -> None:
    """After a kill at any write of two commits the current release's files are whole, and the next run commits."""
    template = tmp_path / "template"
    commit(Tables(template), {1: "a"})
    seen: list[int] = []
    with killed("commit", template, tmp_path) as outcomes:
        for root, _ in outcomes:
            tables = Tables(root)
            seen.append(tables.current().number)
            contacts = rows_of(tables.version(NAME))
            if seen[-1] == 1:
                assert contacts == {1: "a"}
            else:
                assert contacts == {0: 3, 1: 1, 2: 2, 3: 3}
                assert len(check_history(tables)) == 2
            if seen[-1] == 3:
                assert rows_of(tables.version("normalized/acme/deals")) == {0: 1, 7: 7}
            release = commit(tables, {5: "e"})
            assert release.number == seen[-1] + 1
            assert rows_of(tables.version(NAME)) == {5: "e"}
    assert set(seen) == {1, 2, 3}
    assert seen == sorted(seen)
    assert 20 < len(seen) < 150  # the failpoints are hit


def test_kill_at_any_write_gives_both_tables_or_none(tmp_path: Path) -> None:
    """Two tables that are committed in one release: whatever was written, readers see none of it or all."""
    template = tmp_path / "template"
    commit(Tables(template), {1: "a"})
    seen: list[int] = []
    with killed("commit_one_release", template, tmp_path) as outcomes:
        for root, _ in outcomes:
            tables = Tables(root)
            seen.append(tables.current().number)
            deals = tables.version("normalized/acme/deals")
            if seen[-1] == 1:
                assert (rows_of(tables.version(NAME)), deals) == ({1: "a"}, None)
            else:
                assert rows_of(tables.version(NAME)) == {1: "a", 2: "b"}
                assert rows_of(deals) == {7: "x"}
    assert set(seen) == {1, 2}
    assert seen == sorted(seen)
    assert len(seen) > 15
