"""Stage companies and contacts, with the merges that a portal has behind it."""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import noise
from crm_sandbox.hubspot.staging import Staging, ids_of, texts
from crm_sandbox.kernel.staging import seconds
from crm_sandbox.stamps import Integers

_BURST_AGE = 20 * 86_400


def stage_companies(staging: Staging) -> dict[str, str]:
    """Stage companies; one in eight belongs to an earlier one."""
    rng, companies = staging.rng("companies"), staging.world.companies()
    numbers, draw = companies["i"].to_numpy(), companies["r6"].to_numpy()
    has_parent = (draw % 8 == 0) & (numbers > 0)
    parent = draw // 8 % np.maximum(numbers, 1)
    columns = {name: companies[name] for name in companies.column_names}
    industry = pc.replace_substring(pc.utf8_upper(companies["industry"]), " & ", "_AND_")
    life = staging.lived(
        rng,
        seconds(companies["created"]),
        seconds(companies["touched"]),
        rng.random(len(numbers)) < 0.01,
    )
    staging.link(
        "companies",
        "companies",
        ids_of(parent)[has_parent],
        ids_of(numbers)[has_parent],
        {13: slice(None)},
    )
    return {
        "companies": staging.stage(
            "companies",
            columns
            | life
            | {
                "industry_value": pc.replace_substring(industry, " ", "_"),
                "parent_id": texts(ids_of(parent), has_parent),
            },
        )
    }


def stage_contacts(staging: Staging) -> dict[str, str]:
    """Stage contacts: whoever was merged into another is only an old id any more."""
    world, rng = staging.world, staging.rng("contact lives")
    companies = world.companies()
    cards = world.contact_cards(staging.crm, companies)
    company = cards["company"].to_numpy()
    merges = _Merges(cards["master"].to_numpy())
    archived = cards["deleted"].to_numpy() & ~merges.is_lost
    life = staging.lived(
        rng,
        seconds(cards["created"]),
        seconds(cards["touched"]),
        archived,
        world.epoch - _BURST_AGE,
    )
    staging.contact_ids = merges.ids
    staging.contact_gone = archived | merges.is_lost
    staging.company_of = company
    email, repeated = _distinct(staging.connection, cards, merges.is_lost)
    columns = {name: cards[name] for name in set(cards.column_names) - {"created", "modified"}}
    columns |= life | {
        "id": merges.ids,
        "email": email,
        "repeated_email": repeated,
        "email_domain": pc.extract_regex(email, "@(?P<d>[^@]+)$").field("d"),
        "company_id": texts(ids_of(company)),
        "company_name": companies["name"].take(cards["company"]),
        "company_domain": companies["domain"].take(cards["company"]),
        "industry": companies["industry"].take(cards["company"]),
        "merged_ids": merges.merged_ids,
        "merged_vids": merges.vids(life["updated_ms"]),
        "external_id": texts(cards["i"].to_numpy() + 500_000, cards["r1"].to_numpy() % 4 != 0),
        "additional_emails": _more_emails(cards),
    }
    kept = pa.array(~merges.is_lost)
    table = pa.table({name: _whole(values) for name, values in columns.items()}).filter(kept)
    _remember(staging, cards, merges, email, life)
    _link(staging, merges, rng)
    return {"contacts": staging.stage("contacts", {n: table[n] for n in table.column_names})}


def _more_emails(cards: pa.Table) -> pa.Array:
    """Return a further address for one contact in 25."""
    made = pc.binary_join_element_wise("alt", texts(cards["i"].to_numpy()), "@example.net", "")
    return pc.if_else(pa.array(cards["r2"].to_numpy() % 25 == 0), made, None)


def _whole(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


class _Merges:
    """Who was merged into whom: both old ids lead to a new one, which is the highest of all."""

    def __init__(self, master: Integers) -> None:
        count = len(master)
        self.lost = np.flatnonzero(master >= 0)
        self.is_lost = master >= 0
        self.winner = master[self.lost]
        self.winners = np.unique(self.winner)
        self.old = ids_of(np.arange(count))
        self.ids = self.old.copy()
        self.ids[self.winners] = ids_of(count + np.arange(len(self.winners)))
        self.ids[self.lost] = self.ids[self.winner]
        members = [[int(self.old[one])] for one in self.winners]
        place = {int(one): k for k, one in enumerate(self.winners)}
        for lost, winner in zip(self.lost, self.winner, strict=True):
            members[place[int(winner)]].append(int(self.old[lost]))
        self._members = members
        listed: list[str | None] = [None] * count
        for one, old in zip(self.winners, members, strict=True):
            listed[int(one)] = ";".join(str(each) for each in old)
        self.merged_ids = pa.array(listed, pa.string())

    def vids(self, updated_ms: Integers) -> pa.Array:
        """Return the property that says when which contact was merged in."""
        listed: list[str | None] = [None] * len(self.ids)
        for one, old in zip(self.winners, self._members, strict=True):
            listed[int(one)] = ";".join(f"{each}:{updated_ms[one]}" for each in old)
        return pa.array(listed, pa.string())


def _distinct(
    connection: duckdb.DuckDBPyConnection, cards: pa.Table, lost: Any
) -> tuple[pa.Array, pa.Array]:
    """Return each address once, as the vendor keeps them, and apart those that came again."""
    known = pa.table({"i": cards["i"], "email": cards["email"], "lost": lost})
    connection.register("stage_mails", known)
    found = connection.sql(
        "SELECT CASE WHEN place = 1 THEN email END AS email, CASE WHEN place > 1 THEN email END AS again "
        "FROM (SELECT i, email, row_number() OVER (PARTITION BY lower(email) ORDER BY lost, i) AS place "
        "FROM stage_mails) ORDER BY i"
    ).to_arrow_table()
    connection.unregister("stage_mails")
    return found["email"].combine_chunks(), found["again"].combine_chunks()


def _remember(
    staging: Staging, cards: pa.Table, merges: _Merges, email: pa.Array, life: dict[str, Any]
) -> None:
    """Keep the truth about the people, and what old ids lead to."""
    connection = staging.connection
    verdict = pc.if_else(pc.is_null(email), "missing", cards["email_verdict"])
    truth = pa.table(
        {
            "id": merges.ids,
            "person": cards["person"],
            "duplicate": cards["duplicate"],
            "email_verdict": verdict,
            "phone_verdict": cards["phone_verdict"],
        }
    ).filter(pa.array(~merges.is_lost))
    connection.register("stage_truth", truth)
    connection.execute("INSERT INTO truth SELECT * FROM stage_truth ORDER BY id")
    gone = np.concatenate([merges.lost, merges.winners])
    into = np.concatenate([merges.winner, merges.winners])
    aliases = pa.table(
        {"old": merges.old[gone], "new": merges.ids[into], "happened": life["updated_ms"][into]}
    )
    connection.register("stage_aliases", aliases)
    connection.execute(
        "INSERT INTO merged SELECT 'contacts', old, new, happened FROM stage_aliases ORDER BY old"
    )
    for name in ("stage_truth", "stage_aliases"):
        connection.unregister(name)


def _link(staging: Staging, merges: _Merges, rng: np.random.Generator) -> None:
    count = len(staging.company_of)
    alive = ~merges.is_lost
    everybody = alive & (rng.random(count) < 0.95)
    company = ids_of(staging.company_of)
    staging.link("contacts", "companies", merges.ids, company, {279: everybody, 1: everybody})
    former = alive & (rng.random(count) < 0.06)
    other = ids_of(noise(rng, count, 1)["r1"] % staging.world.company_count)
    label = staging.link_types.between("contacts", "companies")[-1]
    apart = former & (other != company)
    staging.link("contacts", "companies", merges.ids, other, {279: apart, label.id: apart})
