"""Verdicts on e-mail addresses and telephone numbers: equal to the libraries', how much faster, and how true.

`python -m benchmarks.verification [--parity 1000000] [--contacts 800000]`. Parity: generated and adversarial inputs, other
ones in each run, in columns and by the library one by one. Speed: addresses and numbers of a made-up world in a process
of its own each, distinct values judged and brought back to all rows, against the libraries called per row on the same
rows. Truth: verdicts on a world's contacts against what the world knows, without and with its DNS.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.measuring import alone, machine, table
from crm_pipeline_tests.verification.inputs import (
    different_emails,
    different_phones,
    drawn_emails,
    drawn_phones,
    library_email,
    library_phone,
)

_BATCH = 100_000
_NOW = datetime(2026, 11, 1)  # noqa: DTZ001 - the world's times are naive UTC


def report(parity: int = 1_000_000, contacts: int = 800_000) -> str:
    """Compare, measure and judge, and return tables in Markdown."""
    return "\n\n".join([machine(), _parity(parity), _speed(contacts), _truth(10_000)])


def _parity(count: int) -> str:
    rows = []
    for kind, draw, differences in (
        ("e-mail addresses", drawn_emails, different_emails),
        ("telephone numbers", drawn_phones, different_phones),
    ):
        seed = random.SystemRandom().randrange(1 << 32)
        different: list[str] = []
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            different += differences(draw(seed + start, size))  # type: ignore[operator]
            print(f"{kind}: {start + size:,}, {len(different)} different", file=sys.stderr)
        rows.append((kind, f"{count:,}", str(seed), str(len(different)), "; ".join(different[:3])))
    return table(("parity with the library", "inputs", "seed", "different", "which"), rows)


def _speed(contacts: int) -> str:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        alone(
            "benchmarks.verification",
            "--case",
            "world",
            "--folder",
            folder,
            "--contacts",
            str(contacts),
        )
        for kind in ("emails", "phones"):
            run = alone("benchmarks.verification", "--case", kind, "--folder", folder)
            ratio = run["library_s"] / run["ours_s"]
            rows.append(
                (
                    kind,
                    f"{run['rows']:,.0f}",
                    f"{run['distinct']:,.0f}",
                    f"{run['ours_s']:.2f}",
                    f"{run['library_s']:.1f}",
                    f"{ratio:.1f}",
                    f"{run['peak_mb']:,.0f}",
                )
            )
    columns = (
        "what",
        "rows",
        "distinct",
        "ours s",
        "library per row s",
        "times",
        "peak MB of the process",
    )
    return table(columns, rows)


def _world(folder: Path, contacts: int) -> dict[str, float]:
    from crm_sandbox.world import World

    world = World(7, contacts, _NOW)
    cards = world.contact_cards("salesforce", world.companies())
    country = cards["country"].combine_chunks()
    phones = pa.table(
        {
            "value": pa.concat_arrays(
                [cards[name].combine_chunks() for name in ("phone", "mobile")]
            ),
            "country": pa.concat_arrays([country, country]),
        }
    )
    phones = phones.filter(pc.is_valid(phones["value"])).slice(0, 1_000_000)
    pq.write_table(cards.select(["email"]), folder / "emails.parquet")
    pq.write_table(phones, folder / "phones.parquet")
    return {"rows": contacts}


def _emails(folder: Path) -> dict[str, float]:
    from crm_pipeline.verification import judge_emails

    column = pq.read_table(folder / "emails.parquet")["email"].combine_chunks()

    def ours() -> int:
        coded = column.dictionary_encode()
        judged = judge_emails(coded.dictionary)
        first = judged.filter(pc.equal(judged["position"], 0))
        assert len(first["verdict"].combine_chunks().take(coded.indices)) == len(column)
        return len(coded.dictionary)

    return _against(
        ours, [(text,) for text in column.drop_null().to_pylist()], library_email, len(column)
    )


def _phones(folder: Path) -> dict[str, float]:
    from crm_pipeline.verification import judge_phones, regions_of

    rows = pq.read_table(folder / "phones.parquet").combine_chunks()
    regions = regions_of(rows["country"])

    def ours() -> int:
        pairs = pa.table({"value": rows["value"], "region": regions_of(rows["country"])})
        distinct = pairs.group_by(["value", "region"]).aggregate([])
        judged = judge_phones(distinct["value"], distinct["region"])
        first = judged.filter(pc.equal(judged["position"], 0))
        joined = pairs.join(first.select(["value", "region", "verdict"]), ["value", "region"])
        assert joined.num_rows == len(rows)
        return distinct.num_rows

    texts = zip(rows["value"].to_pylist(), regions.to_pylist(), strict=True)
    return _against(ours, list(texts), library_phone, len(rows))


def _against(
    ours: Callable[[], int],
    values: list[tuple[str, ...]],
    library: Callable[..., object],
    rows: int,
) -> dict[str, float]:
    started_s = time.perf_counter()
    distinct = ours()
    ours_s = time.perf_counter() - started_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started_s = time.perf_counter()
    for value in values:
        library(*value)
    library_s = time.perf_counter() - started_s
    figures = {"rows": rows, "distinct": distinct, "ours_s": ours_s}
    return {**figures, "library_s": library_s, "peak_mb": peak_mb}


def _truth(contacts: int) -> str:
    """Return verdicts by the world's truth, without and with DNS, and how many dead domains were found."""
    from crm_pipeline.kernel.clock import SystemClock
    from crm_pipeline.verification import (
        DnsSettings,
        MailServers,
        MemoryCache,
        apply_dns,
        judge_emails,
        judge_phones,
        regions_of,
    )
    from crm_sandbox.dns import DnsServer, dead_domains, zone_of
    from crm_sandbox.world import World

    world = World(7, contacts, _NOW)
    cards = world.contact_cards("salesforce", world.companies())
    emails = cards.filter(pc.is_valid(cards["email"])).combine_chunks()
    judged = judge_emails(pc.unique(emails["email"]))
    with DnsServer(zone_of(world)) as server:
        servers = MailServers(DnsSettings(resolver=server.resolver), MemoryCache(), SystemClock())
        checked = apply_dns(judged, servers.answers(judged["domain"]))
    dead = set(dead_domains()) & set(judged["domain"].to_pylist())
    refused = checked.filter(pc.equal(checked["verdict"], "undeliverable"))["domain"].to_pylist()
    line = f"Dead domains found with DNS: {len(dead & set(refused))} of {len(dead)}."
    phones = cards.filter(pc.is_valid(cards["phone"])).combine_chunks()
    numbers = judge_phones(phones["phone"], regions_of(phones["country"]))
    tables = {
        "E-mail addresses, offline": _confusion(emails["email"], emails["email_verdict"], judged),
        "E-mail addresses, with the world's DNS": _confusion(
            emails["email"], emails["email_verdict"], checked
        ),
        "Telephone numbers": _confusion(None, phones["phone_verdict"], numbers),
    }
    return "\n\n".join([*(f"{name}:\n\n{text}" for name, text in tables.items()), line])


def _confusion(values: pa.ChunkedArray | None, truth: pa.ChunkedArray, judged: pa.Table) -> str:
    """Return how often which verdict met which truth; without values, rows of both are the same."""
    first = judged.filter(pc.equal(judged["position"], 0))
    at = (
        range(len(truth))
        if values is None
        else pc.index_in(values, first["value"].combine_chunks())
    )
    verdicts = first["verdict"].take(pa.array(at) if values is None else at)
    words = sorted(set(verdicts.to_pylist()))
    pairs = Counter(zip(truth.to_pylist(), verdicts.to_pylist(), strict=True))
    rows = [
        (name, *(f"{pairs[name, word]:,}" for word in words))
        for name in sorted(set(truth.to_pylist()))
    ]
    return table(("the world's truth", *words), rows)


_CASES: dict[str, Callable[[Path], dict[str, float]]] = {"emails": _emails, "phones": _phones}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=__doc__)
    parser.add_argument("--parity", type=int, default=1_000_000)
    parser.add_argument("--contacts", type=int, default=800_000)
    parser.add_argument("--case", help="one process of the measurement of speed")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.case == "world":
        print(json.dumps(_world(options.folder, options.contacts)))
    elif options.case:
        print(json.dumps(_CASES[options.case](options.folder)))
    else:
        print(report(options.parity, options.contacts))


if __name__ == "__main__":
    main()
