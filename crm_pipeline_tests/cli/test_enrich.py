import pytest

from crm_pipeline.cli import enrich
from crm_pipeline.stages.enriched.outlook import Outlook


@pytest.mark.parametrize(
    ("wanted", "left", "said"),
    [
        (120, 50, "asks about 50 persons or more, for at most 50 credits."),
        (20, 50, "asks about 20 persons, for at most 20 credits."),
        (120, 0, "Nothing can be bought before a budget begins anew; `crm-pipeline credits` says"),
    ],
)
def test_the_plan_says_how_many_persons_are_asked_about(
    capsys: pytest.CaptureFixture[str], wanted: int, left: int, said: str
) -> None:
    """Misses are free, so that more persons are asked about than credits are left; without any, nobody is."""
    enrich._show(Outlook("prospeo", "credits", wanted, 0, 1, left), as_json=False)
    assert said in " ".join(capsys.readouterr().out.split())
