"""What vendors say in errors, as every connector quotes it."""

import json
from importlib import import_module

import pytest
import requests

from crm_pipeline.connectors.registry import vendors

HOSTILE = "\x1b]0;owned\x07\u202e\nlevel=info forged token=hush-hush " + "x" * 1_000_000


@pytest.mark.parametrize("vendor", vendors())
def test_vendors_texts_are_bounded_and_harmless(vendor: str) -> None:
    """A refusal of a login is quoted on one line, cut, without control characters and secrets."""
    response = requests.Response()
    response.status_code = 400
    response.url = "https://login.example/oauth/token"
    response.headers["Content-Type"] = "application/json"
    keys = ("error_description", "message", "errorCode", "category", "code", "status")
    answer = {"error": "invalid_grant", **dict.fromkeys(keys, HOSTILE)}
    response._content = json.dumps(answer).encode()
    classify_token_response = import_module(
        f"crm_pipeline.connectors.{vendor}.errors"
    ).classify_token_response
    error = classify_token_response("acme", response)
    assert "acme" in str(error)
    assert "owned" in str(error)
    assert str(error).isprintable()
    assert "hush-hush" not in str(error)
    assert len(str(error)) < 1_500
    assert len(error.code) <= 100
    assert error.code.isprintable()
