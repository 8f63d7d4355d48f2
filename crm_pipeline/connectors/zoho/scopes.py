"""Which OAuth scope a call needs; refusals name none.

Source: zoho.com/crm/developer/docs/api/v8/scopes.html.
"""

import re

_VERSION = re.compile(r"^.*?/crm/(bulk/)?v[\d.]+/")


def scope_of(method: str, path: str) -> str:
    """Return the scope of a call, by its path."""
    found = _VERSION.match(path)
    parts = path[found.end() :].split("/") if found else [path]
    if found and found[1]:
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
