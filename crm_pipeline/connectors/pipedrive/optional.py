"""Optional fields that a company does not give, and what is asked for instead.

Some are there only with an add-on, and a refusal of one refuses the whole answer. What the refusal says
differs, so where its words do not name the field, those that may be missing are given up in steps.
"""

import re

from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.errors import VendorError

# https://developers.pipedrive.com/docs/api/v1/Persons: only with the marketing app.
_OF_ADD_ONS = frozenset({"marketing_status", "doi_status"})
_NAMED = re.compile(r"'(\w+)' is not|received '(\w+)'")


def refused_by(error: VendorError, lister: Lister) -> tuple[str, ...]:
    """Return the fields that are not to be asked for again; empty where the refusal is of something else."""
    asked = lister.optional
    if "include_fields" not in error.message and not any(one in error.message for one in asked):
        return ()
    named = {one for pair in _NAMED.findall(error.message) for one in pair if one}
    documented = set(lister.item.optional) - _OF_ADD_ONS
    for given_up in (named, set(asked) - documented, set(asked)):
        if refused := tuple(one for one in asked if one in given_up):
            return refused
    return ()
