"""Stage pipelines, products, deals with their steps, and the products of deals."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import noise
from crm_sandbox.deals import STAGES, split_amounts
from crm_sandbox.pipedrive.plans import Plan
from crm_sandbox.pipedrive.staging import Staging
from crm_sandbox.stamps import DAY, Integers, as_datetimes

PRODUCT_COUNT = 40
_OPEN = sum(not stage.closed for stage in STAGES)
_KINDS = ("Seat", "Support Hour", "Sensor", "Workshop", "Connector", "Report", "Router", "Audit")


def stage_catalogue(staging: Staging) -> None:
    """Stage pipelines, stages and products."""
    plan = staging.plan
    pipelines = staging.life(staging.rng("pipelines"), len(plan.pipelines))
    count = np.arange(len(plan.pipelines)) + 1
    names = pa.array([one.name for one in plan.pipelines])
    staging.add("pipelines", pipelines | {"id": count, "order_nr": count, "name": names})
    rows = [
        (number, position, name, one.probability(position))
        for number, one in enumerate(plan.pipelines, 1)
        for position, name in enumerate(one.stages)
    ]
    staging.add(
        "stages",
        staging.life(staging.rng("stages"), len(rows))
        | {
            "id": np.arange(len(rows)) + 1,
            "pipeline_id": np.array([row[0] for row in rows]),
            "order_nr": np.array([row[1] + 1 for row in rows]),
            "name": pa.array([row[2] for row in rows]),
            "probability": np.array([row[3] for row in rows]),
        },
    )
    rng, numbers = staging.rng("products"), np.arange(PRODUCT_COUNT)
    staging.add(
        "products",
        staging.life(rng, PRODUCT_COUNT, deleted=0.05)
        | noise(rng, PRODUCT_COUNT)
        | {
            "name": pa.array(
                [f"{_KINDS[k % len(_KINDS)]} {'ABCDE'[k // len(_KINDS)]}" for k in numbers]
            ),
            "code": pa.array([f"P-{k:04d}" for k in numbers]),
            "price": np.round(rng.lognormal(5.5, 1.0, PRODUCT_COUNT), 2),
        },
    )


def stage_deals(staging: Staging) -> None:
    """Stage deals, the steps behind their history, and their products."""
    world = staging.world
    steps = world.deal_steps(staging.plan.crm)
    draw, stage = steps["r6"].to_numpy(), steps["stage"].to_numpy()
    at = steps["at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    # A deal that is won or lost stays in the stage that it was in.
    is_closed = stage >= _OPEN
    before = np.where(is_closed, np.concatenate([[0], stage[:-1]]), stage)
    pipeline = np.where(draw % 5 == 0, draw // 5 % len(staging.plan.pipelines), 0)
    stage_id = _stage_ids(staging.plan)[pipeline, before]
    status = pa.array(["open", "won", "lost"]).take(
        pa.array(np.where(is_closed, stage - _OPEN + 1, 0))
    )
    history = {
        "deal_id": steps["deal"].to_numpy() + 1,
        "step": steps["step"],
        "moment": steps["at"],
        "stage_id": stage_id,
        "amount": steps["amount"],
        "status": status,
    }
    staging.add("steps", {"i": np.arange(steps.num_rows), "r1": steps["r1"].to_numpy(), **history})
    last = steps["last"].to_numpy(zero_copy_only=False)
    moved = (steps["step"].to_numpy() == 0) | (stage_id != np.concatenate([[0], stage_id[:-1]]))
    changed = at[np.maximum.accumulate(np.where(moved, np.arange(len(at)), 0))]
    current = steps.filter(steps["last"])
    extra = {
        "pipeline_id": pipeline[last] + 1,
        "stage_id": stage_id[last],
        "status": status.filter(pa.array(last)),
        "stage_changed": as_datetimes(changed[last]),
        "probability": np.array([one.probability for one in STAGES])[before[last]],
    }
    _stage_current(staging, current, extra, is_closed[last], at[last])
    _stage_items(staging, current)


def _stage_ids(plan: Plan) -> Integers:
    """Return, per pipeline and stage of the world, the id of the company's stage."""
    ids, first = [], 1
    for one in plan.pipelines:
        ids.append([first + stage * len(one.stages) // _OPEN for stage in range(_OPEN)])
        first += len(one.stages)
    return np.array([[*row, row[-1], row[-1]] for row in ids])


def _stage_current(
    staging: Staging, current: pa.Table, extra: dict[str, object], is_closed: Integers, at: Integers
) -> None:
    rng, count = staging.rng("deals"), current.num_rows
    company = current["company"].to_numpy()
    staging.deal_company = company
    staging.deal_created = current["created"].to_numpy().astype("datetime64[s]").astype(np.int64)
    modified = np.minimum(at + rng.integers(0, DAY * 5, count), staging.world.epoch - 90)
    is_old = is_closed & (at < staging.world.epoch - 180 * DAY)
    archived = is_old & (rng.random(count) < 0.08)
    moment = np.minimum(at + 90 * DAY, staging.world.epoch - 90)
    modified = np.maximum(np.where(archived, moment, modified), at)
    deleted = (rng.random(count) < 0.02) & ~archived
    # However small the world: one deal in the bin, and one that has left it.
    deleted[[7, 8]], archived[[7, 8]] = True, False
    archived[[3, 4]], deleted[[3, 4]] = is_closed[[3, 4]], False
    ends = staging.ends(rng, as_datetimes(modified), deleted, days=45)
    ends["touched"][[7, 8]] = as_datetimes(staging.world.epoch - np.array([5, 40]) * DAY)
    companies = staging.world.companies()
    kinds = pa.array(_KINDS).take(pa.array(current["r5"].to_numpy() % len(_KINDS)))
    names = companies["name"].take(current["company"])
    person = _person_of_deals(staging, rng)
    staging.add(
        "deals",
        {name: current[name] for name in current.column_names}
        | ends
        | {
            "i": np.arange(count),
            "title": pc.binary_join_element_wise(names, kinds, " - "),
            "touched": staging.unstamped(ends["touched"], deleted),
            "closed_at": pa.array(as_datetimes(at), mask=~is_closed.astype(bool)),
            "archived_at": pa.array(as_datetimes(moment), mask=~archived.astype(bool)),
            "org_id": company + 1,
            "person_id": pa.array(person + 1, mask=person < 0),
            "currency": companies["currency"].take(current["company"]),
            "merged_into": np.full(count, -1),
            **extra,
        },
    )


def _person_of_deals(staging: Staging, rng: np.random.Generator) -> Integers:
    """Choose for most deals a living person of the company; -1 for none."""
    alive = np.flatnonzero(staging.person_alive)
    order = alive[np.argsort(staging.person_company[alive], kind="stable")]
    by_company = staging.person_company[order]
    low = np.searchsorted(by_company, staging.deal_company, "left")
    high = np.searchsorted(by_company, staging.deal_company, "right")
    count = len(staging.deal_company)
    place = low + rng.integers(0, 1 << 30, count) % np.maximum(high - low, 1)
    found = order[np.minimum(place, len(order) - 1)]
    chosen: Integers = np.where((high > low) & (rng.random(count) < 0.8), found, -1)
    return chosen


def _stage_items(staging: Staging, current: pa.Table) -> None:
    rng, deals = staging.rng("items"), current.num_rows
    count = int(deals * 1.5)
    with_items = np.flatnonzero(rng.random(deals) < 0.66)
    deal = np.sort(with_items[rng.integers(0, max(1, len(with_items)), count)])
    product = rng.integers(0, PRODUCT_COUNT, count)
    created = as_datetimes(staging.deal_created[deal])
    names = [f"{_KINDS[k % len(_KINDS)]} {'ABCDE'[k // len(_KINDS)]}" for k in range(PRODUCT_COUNT)]
    currency = staging.world.companies()["currency"]
    staging.add(
        "deal_products",
        {
            "i": np.arange(count),
            "deal_id": deal + 1,
            "product_id": product + 1,
            "name": pa.array(names).take(pa.array(product)),
            "position": np.arange(count) - np.searchsorted(deal, deal, "left") + 1,
            "quantity": rng.integers(1, 11, count),
            "total": split_amounts(rng, current["amount"].to_numpy(), deal),
            "currency": currency.take(pa.array(staging.deal_company[deal])),
            "created": created,
            "touched": created,
            **noise(rng, count, 2),
        },
    )
