"""Values that the vendor sets: the first status of a new record, and what follows from a stage."""

from datetime import datetime
from typing import Any

from crm_sandbox.deals import STAGES
from crm_sandbox.salesforce.schema import SObject


def stage_values(sobject: SObject, values: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the values that follow from a written StageName; what the client wrote itself wins."""
    stage = next((one for one in STAGES if one.name == values.get("StageName")), None)
    if sobject.name != "Opportunity" or stage is None:
        return {}
    following = {
        "Probability": float(stage.probability),
        "ForecastCategoryName": stage.forecast,
        "ForecastCategory": stage.forecast.replace(" ", ""),
        "IsClosed": stage.closed,
        "IsWon": stage.won,
        "LastStageChangeDate": now,
    }
    return {name: value for name, value in following.items() if name not in values}


def default_values(sobject: SObject) -> dict[str, Any]:
    """Return what a new record gets where the client gives nothing."""
    values: dict[str, Any] = {}
    for one in sobject.fields:
        if one.name == "Status" and one.type == "picklist" and one.values:
            values[one.stored] = one.values[0]
        elif one.name == "Priority" and one.type == "picklist":
            values[one.stored] = "Normal" if "Normal" in one.values else "Medium"
    return values
