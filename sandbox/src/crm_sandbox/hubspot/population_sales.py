"""Stage products, deals with the way they took, line items, quotes, tickets and leads."""

from typing import Any

import numpy as np
import pyarrow as pa

from crm_sandbox.companies import noise
from crm_sandbox.deals import split_amounts
from crm_sandbox.hubspot.pipelines import Pipeline, PipelineStore
from crm_sandbox.hubspot.staging import Staging, ids_of, texts
from crm_sandbox.hubspot.storage import history_of
from crm_sandbox.kernel.staging import seconds
from crm_sandbox.stamps import Integers

_PRODUCTS = 40
_KINDS = (
    "Seat",
    "Support Hour",
    "Sensor",
    "Workshop",
    "Connector",
    "Reporting Pack",
    "Router",
    "Audit",
)


_MOMENTS = {"at", "created", "close_at"}
_NAMED = (
    "SELECT s.*, c.name || ' - ' || (s.i + 1) AS name, c.currency AS currency "
    "FROM {source} s LEFT JOIN stage_companies c ON c.i = s.company"
)


def stage_products(staging: Staging) -> dict[str, str]:
    """Stage products."""
    rng = staging.rng("products")
    numbers = np.arange(_PRODUCTS)
    columns = staging.born(rng, _PRODUCTS) | {
        "name": pa.array([f"{_KINDS[k % 8]} {'ABCDE'[k // 8]}" for k in numbers]),
        "code": pa.array([f"P-{k:04d}" for k in numbers]),
        "price": np.round(rng.lognormal(5.5, 1.0, _PRODUCTS), 2),
    }
    return {"products": staging.stage("products", columns)}


def stage_deals(staging: Staging, pipelines: PipelineStore) -> dict[str, str]:
    """Stage deals and the history of their stages and amounts."""
    rng, steps = staging.rng("deal lives"), staging.world.deal_steps(staging.crm)
    first, second = pipelines.of("deals")
    deal, stage = steps["deal"].to_numpy(), steps["stage"].to_numpy()
    is_second = steps["r1"].to_numpy() // 7 % 5 == 0
    stage_ids = _stage_ids(first, second, stage, is_second)
    current = steps.filter(steps["last"])
    count = current.num_rows
    last = steps["last"].to_numpy()
    at = seconds(steps["at"])
    touched = np.minimum(at[last] + rng.integers(0, 5 * 86_400, count), staging.world.epoch - 90)
    touched = np.maximum(touched, at[last] + 1)
    life = staging.lived(rng, seconds(current["created"]), touched, rng.random(count) < 0.015)
    staging.deal_company = current["company"].to_numpy()
    staging.deal_created = seconds(current["created"])
    staging.deal_amount = current["amount"].to_numpy()
    _choose_contacts(staging, rng)
    _keep_steps(staging, deal, steps, stage_ids, life["created_ms"])
    columns = {name: current[name] for name in set(current.column_names) - _MOMENTS}
    columns |= (
        life
        | _state_of(first, stage[last])
        | {
            "i": np.arange(count),
            "stage_id": stage_ids.filter(pa.array(last)),
            "pipeline_id": pa.array([first.id, second.id]).take(
                pa.array(is_second[last].astype(int))
            ),
            "entered_ms": _entered(steps, deal, life["created_ms"])[last],
            "close_ms": seconds(current["close_at"]) * 1000,
            "contact_count": (staging.deal_contact >= 0).astype(int),
        }
    )
    _link_deals(staging, rng)
    return {"deals": staging.stage("deals", columns, _NAMED)}


def _entered(steps: pa.Table, deal: Integers, created_ms: Integers) -> Integers:
    """Return when each stage was entered; the first one with the deal."""
    step = steps["step"].to_numpy()
    entered: Integers = np.where(step == 0, created_ms[deal], seconds(steps["at"]) * 1000 + step)
    return entered


def _state_of(pipeline: Pipeline, stage: Integers) -> dict[str, Any]:
    """Return what the stages that were reached say; both pipelines say the same."""
    return {
        "closed": np.array([one.is_closed for one in pipeline.stages])[stage],
        "won": np.array([one.is_won for one in pipeline.stages])[stage],
        "probability": np.array([one.probability for one in pipeline.stages])[stage],
    }


def _stage_ids(first: Pipeline, second: Pipeline, stage: Integers, is_second: Any) -> pa.Array:
    listed = [one.id for one in first.stages] + [one.id for one in second.stages]
    return pa.array(listed).take(pa.array(stage + is_second * len(first.stages)))


def _choose_contacts(staging: Staging, rng: np.random.Generator) -> None:
    """Choose for each deal a living contact of its company, if there is one."""
    alive = np.flatnonzero(~staging.contact_gone)
    order = alive[np.argsort(staging.company_of[alive], kind="stable")]
    sorted_company = staging.company_of[order]
    low = np.searchsorted(sorted_company, staging.deal_company, "left")
    high = np.searchsorted(sorted_company, staging.deal_company, "right")
    count = len(staging.deal_company)
    position = low + rng.integers(0, 1 << 30, count) % np.maximum(high - low, 1)
    chosen = order[np.minimum(position, len(order) - 1)]
    staging.deal_contact = np.where((high > low) & (rng.random(count) < 0.8), chosen, -1)


def _keep_steps(
    staging: Staging, deal: Integers, steps: pa.Table, stage_ids: pa.Array, created_ms: Integers
) -> None:
    step = steps["step"].to_numpy()
    amount = steps["amount"].to_numpy()
    begins = step == 0
    at = _entered(steps, deal, created_ms)
    changed = begins | (amount != np.concatenate([[-1], amount[:-1]]))
    table = pa.table(
        {
            "id": ids_of(deal),
            "stage": stage_ids,
            "amount": texts(amount),
            "happened": at,
            "changed": changed,
            "who": staging.portal.user_id + steps["r2"].to_numpy() % 25,
        }
    )
    staging.connection.register("stage_steps", table)
    tail = "happened, 'CRM_UI', 'userId:' || who, who FROM stage_steps"
    name = history_of("deals")
    staging.connection.execute(f"INSERT INTO \"{name}\" SELECT id, 'dealstage', stage, {tail}")
    staging.connection.execute(
        f"INSERT INTO \"{name}\" SELECT id, 'amount', amount, {tail} WHERE changed"
    )
    staging.connection.unregister("stage_steps")


def _link_deals(staging: Staging, rng: np.random.Generator) -> None:
    count = len(staging.deal_company)
    deals = ids_of(np.arange(count))
    everywhere = np.ones(count, dtype=bool)
    staging.link(
        "deals", "companies", deals, ids_of(staging.deal_company), {341: everywhere, 5: everywhere}
    )
    known = staging.deal_contact >= 0
    contacts = staging.contact_ids[staging.deal_contact]
    label = staging.link_types.between("contacts", "deals")[-1]
    decides = known & (rng.random(count) < 0.3)
    staging.link("contacts", "deals", contacts, deals, {4: known, label.id: decides})
    # Some deals have a second contact.
    others = np.flatnonzero(~staging.contact_gone)
    second = staging.contact_ids[others[rng.integers(0, len(others), count)]]
    more = known & (rng.random(count) < 0.25) & (second != contacts)
    staging.link("contacts", "deals", second, deals, {4: more})


def stage_items(staging: Staging) -> dict[str, str]:
    """Stage line items: two deals in three have some, and theirs add up to the deal's amount."""
    rng = staging.rng("items")
    deals = len(staging.deal_company)
    count = int(deals * 1.5)
    with_items = np.flatnonzero(rng.random(deals) < 0.66)
    deal = np.sort(with_items[rng.integers(0, max(1, len(with_items)), count)])
    product = rng.integers(0, _PRODUCTS, count)
    created = staging.deal_created[deal]
    staging.link("line_items", "deals", ids_of(np.arange(count)), ids_of(deal))
    columns = {
        "i": np.arange(count),
        **noise(rng, count),
        **staging.lived(rng, created, created + 1, np.zeros(count, dtype=bool)),
        "product": product,
        "product_id": texts(ids_of(product)),
        "position": np.arange(count) - np.searchsorted(deal, deal, "left"),
        "quantity": rng.integers(1, 11, count),
        "total": split_amounts(rng, staging.deal_amount, deal),
        "company": staging.deal_company[deal],
    }
    joined = (
        "SELECT s.*, p.name AS name, p.code AS code, c.currency AS currency FROM {source} s "
        "LEFT JOIN stage_products p ON p.i = s.product LEFT JOIN stage_companies c ON c.i = s.company"
    )
    return {"line_items": staging.stage("line_items", columns, joined)}


def stage_quotes(staging: Staging) -> dict[str, str]:
    """Stage quotes for one deal in four."""
    rng = staging.rng("quotes")
    deals = len(staging.deal_company)
    chosen = np.flatnonzero(rng.random(deals) < 0.25)
    count = len(chosen)
    created = staging.deal_created[chosen] + 3600
    numbers = ids_of(np.arange(count))
    staging.link("quotes", "deals", numbers, ids_of(chosen))
    contact = staging.deal_contact[chosen]
    staging.link("quotes", "contacts", numbers, staging.contact_ids[contact], {69: contact >= 0})
    columns = {
        "i": np.arange(count),
        **noise(rng, count),
        **staging.lived(rng, created, created + 60, np.zeros(count, dtype=bool)),
        "name": pa.array([f"Quote {k + 1}" for k in range(count)], pa.string()),
        "amount": staging.deal_amount[chosen],
        "company": staging.deal_company[chosen],
    }
    joined = (
        "SELECT s.*, c.currency AS currency FROM {source} s "
        "LEFT JOIN stage_companies c ON c.i = s.company"
    )
    return {"quotes": staging.stage("quotes", columns, joined)}


def stage_tickets(staging: Staging, pipelines: PipelineStore) -> dict[str, str]:
    """Stage tickets on their way through the support pipeline."""
    count = max(5, staging.world.contacts // 8)
    rng, pipeline = staging.rng("tickets"), pipelines.of("tickets")[0]
    columns = staging.born(rng, count)
    reached = rng.choice(len(pipeline.stages), count, p=(0.15, 0.15, 0.1, 0.6))
    _keep_path(staging, "tickets", pipeline, reached, columns)
    contact = rng.integers(0, staging.world.contacts, count)
    numbers, known = ids_of(np.arange(count)), rng.random(count) < 0.9
    staging.link("tickets", "contacts", numbers, staging.contact_ids[contact], {16: known})
    company = ids_of(staging.company_of[contact])
    staging.link("tickets", "companies", numbers, company, {339: known, 26: known})
    about = rng.random(count) < 0.2
    deal = ids_of(rng.integers(0, len(staging.deal_company), count))
    staging.link("tickets", "deals", numbers, deal, {28: about})
    closed = np.array([one.is_closed for one in pipeline.stages])[reached]
    return {
        "tickets": staging.stage(
            "tickets", columns | _placed(pipeline, reached) | {"closed": closed}
        )
    }


def stage_leads(staging: Staging, pipelines: PipelineStore) -> dict[str, str]:
    """Stage leads, each about one living contact."""
    count = max(10, staging.world.contacts // 4)
    rng, pipeline = staging.rng("leads"), pipelines.of("leads")[0]
    columns = staging.born(rng, count)
    reached = rng.integers(0, len(pipeline.stages), count)
    _keep_path(staging, "leads", pipeline, reached, columns)
    alive = np.flatnonzero(~staging.contact_gone)
    contact = alive[rng.integers(0, len(alive), count)]
    numbers, everyone = ids_of(np.arange(count)), np.ones(count, dtype=bool)
    staging.link(
        "leads", "contacts", numbers, staging.contact_ids[contact], {608: everyone, 578: everyone}
    )
    company = ids_of(staging.company_of[contact])
    staging.link("leads", "companies", numbers, company, {610: everyone, 580: everyone})
    columns |= _placed(pipeline, reached) | {
        "contact_id": texts(staging.contact_ids[contact]),
        "contact": staging.contact_ids[contact],
    }
    joined = (
        "SELECT s.*, coalesce(concat_ws(' ', c.given, c.family), 'Lead') AS name FROM {source} s "
        "LEFT JOIN stage_contacts c ON c.id = s.contact"
    )
    return {"leads": staging.stage("leads", columns, joined)}


def _placed(pipeline: Pipeline, reached: Integers) -> dict[str, Any]:
    return {
        "stage_id": pa.array([one.id for one in pipeline.stages]).take(pa.array(reached)),
        "pipeline_id": pa.array([pipeline.id] * len(reached)),
    }


def _keep_path(
    staging: Staging,
    name: str,
    pipeline: Pipeline,
    reached: Integers,
    columns: dict[str, Any],
) -> None:
    """Write the stages before the one that was reached, spread over the record's life."""
    count = len(reached)
    row = np.repeat(np.arange(count), reached + 1)
    step = np.arange(len(row)) - np.searchsorted(row, row, "left")
    span = columns["updated_ms"] - columns["created_ms"]
    table = pa.table(
        {
            "id": ids_of(row),
            "value": pa.array([one.id for one in pipeline.stages]).take(pa.array(step)),
            "happened": columns["created_ms"][row]
            + span[row] * step // np.maximum(reached[row], 1),
        }
    )
    user = staging.portal.user_id
    staging.connection.register("stage_path", table)
    staging.connection.execute(
        f"INSERT INTO \"{history_of(name)}\" SELECT id, 'hs_pipeline_stage', value, happened, 'CRM_UI', "
        f"'userId:{user}', {user} FROM stage_path"
    )
    staging.connection.unregister("stage_path")
