"""From field names to SQL: which column a name means, and what has to be joined to show it."""

from dataclasses import dataclass, field

from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Field, Module

# What `What_Id` and `Parent_Id` may point to.
_ABOUT = ("Leads", "Contacts", "Accounts", "Deals", "Campaigns", "Cases", "Products", "Quotes")
MOST_PARENTS = 2


@dataclass(frozen=True)
class Column:
    """One value of a row.

    Attributes:
        key: how it was asked for, with the names of parents before a dot.
        field: the field.
        alias: the table alias that it is read from.
    """

    key: str
    field: Field
    alias: str

    @property
    def sql(self) -> str:
        """The stored value."""
        return f'{self.alias}."{self.field.stored}"'


@dataclass
class Columns:
    """The columns of one query over a module.

    Attributes:
        alias: the module's own alias.
        joins: what was joined so far.
    """

    org: Org
    module: Module
    alias: str = "t"
    joins: list[str] = field(default_factory=list)
    _made: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """FROM without the word, with every join."""
        return " ".join([f'"{self.module.stored}" {self.alias}', *self.joins])

    def find(self, path: str) -> Column | None:
        """Resolve a name, or a dotted path over lookups; None where it leads nowhere."""
        *parents, name = path.split(".")
        if len(parents) > MOST_PARENTS:
            return None
        alias, module, keys = self.alias, self.module, list[str]()
        for parent in parents:
            link = module.find(parent)
            if link is None or not link.is_lookup or link.target in {"", "se_module"}:
                return None
            module = self.org.behind(link.target)
            alias = self._joined(alias, link)
            keys.append(link.name)
        one = module.find(name)
        return None if one is None else Column(".".join([*keys, one.name]), one, alias)

    def title_of(self, column: Column) -> tuple[str, str]:
        """Join the record that a lookup points to; return its alias and SQL for its name."""
        alias = self._joined(column.alias, column.field)
        if column.field.target == "se_module":
            return alias, f"{alias}.title"
        title = self.org.behind(column.field.target).title_column
        return alias, f'{alias}."{title}"'

    def _joined(self, alias: str, link: Field) -> str:
        key = f"{alias}.{link.stored}"
        if key not in self._made:
            made = f"l{len(self._made)}"
            relation = self._union() if link.target == "se_module" else f'"{link.target}"'
            self.joins.append(
                f'LEFT JOIN {relation} {made} ON {made}.id = {alias}."{link.stored}" '
                f"AND {made}._ended IS NULL"
            )
            self._made[key] = made
        return self._made[key]

    def _union(self) -> str:
        parts = [
            f'SELECT id, _ended, "{self.org.behind(table).title_column}" AS title FROM "{table}"'
            for table in _ABOUT
        ]
        return f"({' UNION ALL '.join(parts)})"
