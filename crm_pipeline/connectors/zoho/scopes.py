"""The OAuth scope that a call needs; refusals do not name it.

Source: zoho.com/crm/developer/docs/api/v8/scopes.html.
"""

import re

_VERSION = re.compile(r"^.*?/crm/(bulk/)?v[\d.]+/")


def scope_of(method: str, path: str) -> str:
    """Return the scope that a call needs."""
    match = _VERSION.match(path)
    parts = path[match.end() :].split("/") if match else [path]
    if match and match[1]:
        return "ZohoCRM.bulk.CREATE" if method == "POST" else "ZohoCRM.bulk.READ"
    head = parts[0]
    if head == "settings":
        return f"ZohoCRM.settings.{parts[1] if len(parts) > 1 else 'modules'}.READ"
    if head == "org" and parts[1:] == ["currencies"]:
        return "ZohoCRM.settings.currencies.READ"
    if head in {"coql", "org", "users"}:
        module = " (and ZohoCRM.modules.READ)" if head == "coql" else ""
        return f"ZohoCRM.{head}.READ{module}"
    return f"ZohoCRM.modules.{head}.READ"
