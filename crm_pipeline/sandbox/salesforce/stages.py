"""What the vendor sets by itself when an opportunity gets a stage."""

from datetime import datetime
from typing import Any

from crm_pipeline.sandbox.deals import STAGES
from crm_pipeline.sandbox.salesforce.schema import SObject


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
