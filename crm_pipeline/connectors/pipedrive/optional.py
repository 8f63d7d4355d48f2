"""Finds the optional fields that a company refuses, so that they are no longer requested.

Some need an add-on, and one refused field refuses the whole request. The texts of refusals differ: where
the text does not name the field, groups of fields that may be missing are given up in steps.
"""

import re

from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.errors import VendorError

# https://developers.pipedrive.com/docs/api/v1/Persons: only with the marketing app.
_NEED_ADD_ON = frozenset({"marketing_status", "doi_status"})
_NAMED = re.compile(r"'(\w+)' is not|received '(\w+)'")


def refused_by(error: VendorError, lister: Lister) -> tuple[str, ...]:
    """Return the fields that must not be requested again; empty where the error has another reason."""
    requested = lister.optional
    if "include_fields" not in error.message and not any(
        name in error.message for name in requested
    ):
        return ()
    named = {name for pair in _NAMED.findall(error.message) for name in pair if name}
    documented = set(lister.item.optional) - _NEED_ADD_ON
    for group in (named, set(requested) - documented, set(requested)):
        if refused := tuple(name for name in requested if name in group):
            return refused
    return ()
