"""The user behind a request, and the records that they may see: a token belongs to one user of one company.

Source: https://pipedrive.readme.io/docs/core-api-concepts-authentication
"""

from dataclasses import dataclass

from crm_sandbox.pipedrive.company import Company
from crm_sandbox.pipedrive.question import Question
from crm_sandbox.pipedrive.schema import Entity

_SHARED = 3


@dataclass(frozen=True)
class Sight:
    """One caller.

    Attributes:
        token: what its burst limit is counted by.
        user: the number of its user.
        sees_all: whether the user is an administrator.
        scopes: of an app; None for an API token, which may do what its user may.
    """

    company: Company
    token: str
    user: int
    sees_all: bool = True
    scopes: frozenset[str] | None = None

    @property
    def is_app(self) -> bool:
        """Whether an app asks, by OAuth."""
        return self.scopes is not None

    def restrict(self, entity: Entity, question: Question) -> None:
        """Leave out what the caller may not see; it is no error."""
        if not self.sees_all and entity.column("visible_to") and entity.column("owner_id"):
            question.add('(r."visible_to" >= ? OR r."owner_id" = ?)', _SHARED, self.user)
