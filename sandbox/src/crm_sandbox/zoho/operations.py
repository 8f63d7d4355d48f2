"""All operations, with addresses without the version."""

from crm_sandbox.operations import OperationTable, listed
from crm_sandbox.zoho.versions import addressed

_LISTED = """
GET|POST|PUT|DELETE /crm/{module}
GET|PUT|DELETE /crm/{module}/{id}
POST /crm/{module}/upsert
GET /crm/{module}/search
GET /crm/{module}/deleted
GET /crm/{module}/actions/count
GET /crm/{module}/{id}/{relatedList}
POST /crm/coql
POST /crm/__composite_requests
GET|POST|PUT|PATCH|DELETE /crm/actions/watch
GET /crm/org
GET /crm/org/currencies
GET /crm/users
GET /crm/users/{id}
GET /crm/settings/modules
GET /crm/settings/modules/{module}
GET /crm/settings/fields
GET /crm/settings/fields/{id}
GET /crm/settings/layouts
GET /crm/settings/layouts/{id}
GET /crm/settings/pipeline
GET /crm/settings/pipeline/{id}
GET /crm/settings/related_lists
GET /crm/settings/custom_views
POST /crm/upload
POST /crm/bulk/read
GET /crm/bulk/read/{jobId}
GET /crm/bulk/read/{jobId}/result
POST /crm/bulk/write
GET /crm/bulk/write/{jobId}
GET /crm/bulk/write/{jobId}/result
GET|POST /oauth/v2/auth
POST /oauth/v2/token
POST /oauth/v2/token/revoke
"""


def _plain(path: str) -> str | None:
    if path.startswith("/oauth/"):
        return path.rstrip("/")
    found = addressed(path)
    if found is None:
        return None
    area = "/crm/bulk" if path.startswith("/crm/bulk/") else "/crm"
    return "/".join([area, *(part for part in found[1].split("/") if part)])


OPERATIONS = OperationTable(listed(_LISTED), _plain)
