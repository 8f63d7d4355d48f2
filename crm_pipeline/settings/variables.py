"""Names of environment variables that stand in connections.yaml in the place of secrets."""

import re

from crm_pipeline.settings.model import problem

# A Salesforce secret is 64 upper-case hexadecimal digits: the shorter limit separates names from secrets.
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,59}\Z")


def require_variable(value: str) -> str:
    """Return the name of an environment variable.

    Raises:
        PydanticCustomError: it is none; it may be the secret itself.
    """
    if VARIABLE.match(value):
        return value
    raise problem(
        "is not the name of an environment variable (capital letters, digits and _; at most 60)",
        cure="Put the secret itself into the environment or .env, and only the variable's name "
        "here. If this was the secret, treat it as exposed.",
    )
