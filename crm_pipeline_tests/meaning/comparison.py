"""All differences of a world; each table compared once."""

from functools import cache

from crm_pipeline_tests.meaning.compare import Difference, differences
from crm_pipeline_tests.meaning.facts import Tables
from crm_pipeline_tests.meaning.prepared import Prepared
from crm_pipeline_tests.meaning.shown import shown
from crm_pipeline_tests.meaning.truths import TABLES, truth


class Comparison:
    """A published world beside its truth."""

    def __init__(self, world: Prepared) -> None:
        self.world = world
        self.truth = cache(self._truth)
        self.differences = cache(self._differences)

    @property
    def cases(self) -> list[tuple[str, str]]:
        """Every connection with every table of facts about it."""
        names = {name: self.world.answers.vendor(name) for name in self.world.connections}
        return [(name, table) for name, vendor in names.items() for table in TABLES[vendor]]

    def _truth(self, connection: str) -> Tables:
        return truth(self.world.answers, connection)

    def _differences(self, connection: str, table: str) -> list[Difference]:
        expected = self.truth(connection)[table]
        rows = shown(self.world, connection, table, expected)
        return differences(connection, table, expected, rows)
