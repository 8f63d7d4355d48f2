"""The same landed contacts brought to the same columns by pandas and by polars, as careful scripts would.

The newest copy of each record; blank texts to null; booleans, dates and timestamps parsed; keys to owner,
company and manager; live and deleted rows in a Parquet file each. Left out, in the peers' favour: custom
fields, contracts, quarantine of values that do not parse, and flushing to the disk.
`benchmarks.tables` runs them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

TEXTS = [
    "MasterRecordId",
    "LastName",
    "FirstName",
    "Salutation",
    "Name",
    "MailingStreet",
    "MailingCity",
    "MailingState",
    "MailingPostalCode",
    "MailingCountry",
    "Phone",
    "Fax",
    "MobilePhone",
    "HomePhone",
    "OtherPhone",
    "AssistantPhone",
    "Email",
    "Title",
    "Department",
    "LeadSource",
    "EmailBouncedReason",
]
BOOLEANS = ("IsDeleted", "HasOptedOutOfEmail", "DoNotCall")
STAMPS = ("CreatedDate", "SystemModstamp", "EmailBouncedDate")
DATES = ("Birthdate", "LastActivityDate")
KEYS = {"Id": "Contact", "OwnerId": "User", "AccountId": "Account", "ReportsToId": "Contact"}
READ = [*TEXTS, *BOOLEANS, *STAMPS, *DATES, *KEYS]


def peer_normalise_pandas(landed: list[Path], target: Path) -> int:
    import pandas as pd

    frame = pd.concat([pd.read_parquet(path, columns=READ) for path in landed])
    newest = frame.sort_values("SystemModstamp").drop_duplicates("Id", keep="last")
    made = {name: newest[name].str.strip().replace("", None) for name in TEXTS}
    made |= {name: newest[name] == "true" for name in BOOLEANS}
    for name in (*STAMPS, *DATES):
        made[name] = pd.to_datetime(newest[name].replace("", None), utc=True, format="ISO8601")
    for name in DATES:
        made[name] = made[name].dt.date
    for name, obj in KEYS.items():
        known = newest[name].replace("", None)
        made[name], made[f"{name}_key"] = known, f"bench:{obj}:" + known
    table = pd.DataFrame(made)
    for is_deleted in (False, True):
        part = table[table["IsDeleted"] == is_deleted]
        part.to_parquet(target / f"deleted-{is_deleted}.parquet", compression="zstd")
    return len(table)


def peer_normalise_polars(landed: list[Path], target: Path) -> int:
    import polars as pl

    def known(name: str) -> pl.Expr:
        return pl.when(pl.col(name) != "").then(pl.col(name))

    newest = (
        pl.scan_parquet([str(path) for path in landed])
        .select(READ)
        .sort("SystemModstamp")
        .unique("Id", keep="last")
    )
    made = [known(name).str.strip_chars().alias(name) for name in TEXTS]
    made += [(pl.col(name) == "true").alias(name) for name in BOOLEANS]
    stamp = "%Y-%m-%dT%H:%M:%S%.3fZ"
    made += [known(n).str.to_datetime(stamp, time_zone="UTC").alias(n) for n in STAMPS]
    made += [known(name).str.to_date("%Y-%m-%d").alias(name) for name in DATES]
    for name, obj in KEYS.items():
        made += [known(name).alias(name)]
        made += [(pl.lit(f"bench:{obj}:") + known(name)).alias(f"{name}_key")]
    table = newest.select(made).collect()
    for is_deleted in (False, True):
        part = table.filter(pl.col("IsDeleted") == is_deleted)
        part.write_parquet(target / f"deleted-{is_deleted}.parquet", compression="zstd")
    return table.height


CASES: Mapping[str, Callable[[list[Path], Path], int]] = {
    case.__name__: case for case in (peer_normalise_pandas, peer_normalise_polars)
}
