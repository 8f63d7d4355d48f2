"""A selected field: the column that it is read from, and its path in the response."""

from dataclasses import dataclass

from crm_sandbox.salesforce.schema import Field


@dataclass(frozen=True)
class Column:
    """One selected field.

    Attributes:
        keys: its path in the response: names of parents, then the field's name.
        field: the field.
        alias: the table alias it is read from.
    """

    keys: tuple[str, ...]
    field: Field
    alias: str

    @property
    def sql(self) -> str:
        """The stored value."""
        return f'{self.alias}."{self.field.stored}"'
