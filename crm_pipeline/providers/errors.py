"""Errors that only providers raise."""

from crm_pipeline.kernel.errors import CrmError, Fatal


class OutOfCredits(Fatal):
    """The provider's credits are spent."""


class PutOff(CrmError):
    """A call that does not wait got no permit.

    Attributes:
        wait_s: the time until it may be worth asking again.
        limit: the limit that is short; "" where another thread was quicker.
    """

    def __init__(self, message: str, *, wait_s: float, limit: str) -> None:
        super().__init__(message, cure="Ask again later, or let calls wait.")
        self.wait_s = wait_s
        self.limit = limit
