"""Plain pages by number: rows as JSON texts, and the `info` that goes with them."""

import json
from collections.abc import Sequence
from typing import Any

from crm_sandbox.http import Response


def info_of(page: int, per_page: int, fetched: Sequence[Any]) -> dict[str, Any]:
    """Return the `info` of a page for which one row more than it holds was fetched."""
    return {
        "per_page": per_page,
        "count": min(len(fetched), per_page),
        "page": page,
        "more_records": len(fetched) > per_page,
    }


def listed(texts: Sequence[str], info: dict[str, Any]) -> Response:
    """Return rows and `info` as one answer; 204 where there are none."""
    if not texts:
        return Response(204)
    tail = json.dumps(info, separators=(",", ":"))
    return Response(200, f'{{"data":[{",".join(texts)}],"info":{tail}}}'.encode())
