"""All operations; their areas are those of `routes.py`, which lists the versions of each."""

from crm_sandbox.hubspot.routes import FILES, route_of
from crm_sandbox.operations import OperationTable, listed

_LISTED = """
GET|POST /objects/{objectType}
GET|PATCH|DELETE /objects/{objectType}/{objectId}
POST /objects/{objectType}/batch/read
POST /objects/{objectType}/batch/create
POST /objects/{objectType}/batch/update
POST /objects/{objectType}/batch/upsert
POST /objects/{objectType}/batch/archive
POST /objects/{objectType}/search
POST /objects/{objectType}/merge
POST /objects/{objectType}/gdpr-delete
GET /objects/{objectType}/{objectId}/associations/{toObjectType}
PUT /objects/{objectType}/{objectId}/associations/default/{toObjectType}/{toObjectId}
PUT|DELETE /objects/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}
PUT|DELETE /objects/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}/{type}

POST /associations/{fromObjectType}/{toObjectType}/batch/read
POST /associations/{fromObjectType}/{toObjectType}/batch/create
POST /associations/{fromObjectType}/{toObjectType}/batch/archive
POST /associations/{fromObjectType}/{toObjectType}/batch/labels/archive
POST /associations/{fromObjectType}/{toObjectType}/batch/associate/default
GET|POST|PUT /associations/{fromObjectType}/{toObjectType}/labels
DELETE /associations/{fromObjectType}/{toObjectType}/labels/{typeId}
GET /associations/{fromObjectType}/{toObjectType}/types

GET|POST /properties/{objectType}
GET|PATCH|DELETE /properties/{objectType}/{propertyName}
POST /properties/{objectType}/batch/read
POST /properties/{objectType}/batch/create
POST /properties/{objectType}/batch/archive
GET|POST /properties/{objectType}/groups
GET|PATCH /properties/{objectType}/groups/{groupName}
GET /legacy-properties/{objectType}/properties
GET /legacy-properties/{objectType}/properties/named/{propertyName}
GET /property-validations/{objectType}
GET /property-validations/{objectType}/{propertyName}
GET|PUT /property-validations/{objectType}/{propertyName}/rule-type/{ruleType}

GET|POST /pipelines/{objectType}
GET|PUT|PATCH|DELETE /pipelines/{objectType}/{pipelineId}
GET /pipelines/{objectType}/{pipelineId}/audit
GET|POST /pipelines/{objectType}/{pipelineId}/stages
GET|PUT|PATCH|DELETE /pipelines/{objectType}/{pipelineId}/stages/{stageId}
GET /pipelines/{objectType}/{pipelineId}/stages/{stageId}/audit

GET|POST /schemas
GET|PATCH|DELETE /schemas/{objectType}
POST /schemas/{objectType}/associations

POST /lists/search
GET /lists/{listId}
GET /lists/{listId}/memberships
GET /lists/{listId}/memberships/join-order

GET /owners
GET /owners/{ownerId}
GET /account-info/details
GET /account-info/api-usage/daily/private-apps
GET /limits/records
GET /limits/custom-properties
GET /limits/calculated-properties
GET /limits/custom-object-types
GET /limits/pipelines
GET /limits/associations/labels
GET /limits/associations/records/from

GET|POST /imports
GET /imports/{importId}
POST /imports/{importId}/cancel
GET /imports/{importId}/errors
POST /exports/export/async
GET /exports/export/async/tasks/{taskId}/status
GET /exports/export/{exportId}

GET /communication-preferences/definitions
GET|POST /communication-preferences/statuses/{subscriberIdString}
GET|POST /communication-preferences/statuses/{subscriberIdString}/unsubscribe-all
POST /communication-preferences/statuses/batch/read
POST /communication-preferences/statuses/batch/write
POST /communication-preferences/statuses/batch/unsubscribe-all
POST /communication-preferences/statuses/batch/unsubscribe-all/read

GET|PUT|DELETE /webhooks/{appId}/settings
GET|POST /webhooks/{appId}/subscriptions
GET|PATCH|DELETE /webhooks/{appId}/subscriptions/{subscriptionId}
POST /webhooks/{appId}/subscriptions/batch/update

GET|POST /oauth/authorize
POST /oauth/token
POST /oauth/token/introspect
POST /oauth/token/revoke
GET /oauth/access-tokens/{token}
GET|DELETE /oauth/refresh-tokens/{token}

POST /collector
GET /export-files/{name}
"""


def _plain(path: str) -> str | None:
    """Return an address with its area first and without its version."""
    if path.startswith("/oauth/") and path.rstrip("/").endswith("/authorize"):
        return "/oauth/authorize"
    if path.startswith(FILES):
        return path
    route = route_of(path)
    return None if route is None else "/".join(["", route.area, *route.parts])


OPERATIONS = OperationTable(listed(_LISTED), _plain)
