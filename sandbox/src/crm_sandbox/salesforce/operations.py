"""All operations; `vXX.X` stands for any version."""

import re

from crm_sandbox.operations import OperationTable, listed

_LISTED = """
GET /services/data
GET /services/data/vXX.X
GET /services/data/vXX.X/query
GET /services/data/vXX.X/query/{locator}
GET /services/data/vXX.X/queryAll
GET /services/data/vXX.X/queryAll/{locator}
GET /services/data/vXX.X/limits
GET /services/data/vXX.X/limits/recordCount
GET /services/data/vXX.X/sobjects
GET|POST /services/data/vXX.X/sobjects/{object}
GET /services/data/vXX.X/sobjects/{object}/describe
GET /services/data/vXX.X/sobjects/{object}/updated
GET /services/data/vXX.X/sobjects/{object}/deleted
GET|PATCH|DELETE /services/data/vXX.X/sobjects/{object}/{id}
GET|PATCH|DELETE /services/data/vXX.X/sobjects/{object}/{field}/{value}
GET|POST /services/data/vXX.X/jobs/query
GET|PATCH|DELETE /services/data/vXX.X/jobs/query/{jobId}
GET /services/data/vXX.X/jobs/query/{jobId}/results
GET /services/data/vXX.X/jobs/query/{jobId}/resultPages
GET|POST /services/data/vXX.X/jobs/ingest
GET|PATCH|DELETE /services/data/vXX.X/jobs/ingest/{jobId}
PUT /services/data/vXX.X/jobs/ingest/{jobId}/batches
GET /services/data/vXX.X/jobs/ingest/{jobId}/successfulResults
GET /services/data/vXX.X/jobs/ingest/{jobId}/failedResults
GET /services/data/vXX.X/jobs/ingest/{jobId}/unprocessedrecords
POST /services/data/vXX.X/composite
POST /services/data/vXX.X/composite/batch
POST|PATCH|DELETE /services/data/vXX.X/composite/sobjects
GET|POST /services/data/vXX.X/composite/sobjects/{object}
PATCH /services/data/vXX.X/composite/sobjects/{object}/{field}
POST /services/Soap/u/XX.X
POST /services/Soap/u/XX.X/{organization}
GET|POST /services/oauth2/authorize
POST /services/oauth2/token
GET|POST /services/oauth2/revoke
POST /services/oauth2/introspect
GET /services/oauth2/userinfo
GET /id/{organization}/{user}
"""
_VERSION = re.compile(r"(?<=/v)\d+\.\d(?=/|$)|(?<=/u/)\d+\.\d(?=/|$)")


def _plain(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    return _VERSION.sub("XX.X", "/".join(["", *parts]))


OPERATIONS = OperationTable(listed(_LISTED), _plain)
