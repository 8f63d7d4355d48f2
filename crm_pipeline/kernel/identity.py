"""Stable identities: sortable ids for batches and windows, fingerprints, names safe as paths."""

import hashlib
import json
import re
import secrets
import threading
import time
from typing import Any
from urllib.parse import quote, unquote

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}\Z")
_NAMELESS = "%"  # stands for "", which is no folder name; no encoded name is a lone percent sign
_lock = threading.Lock()
_last_ms = 0


def sortable_id() -> str:
    """Return a new id of 26 lower-case hexadecimal digits that sorts by time of creation.

    Twelve digits of milliseconds (as in UUID version 7, RFC 9562), then 56 random bits. Within a
    process the order is strict.
    """
    global _last_ms  # noqa: PLW0603 - one counter per process is the point
    with _lock:
        _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000)
        return f"{_last_ms:012x}{secrets.token_hex(7)}"


def fingerprint(value: Any) -> str:
    """Return 16 hexadecimal digits that identify a JSON-able value, whatever its key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def path_name(name: str) -> str:
    """Return a vendor's name encoded as one harmless path component; `from_path_name` decodes it.

    Plain names stay as they are. Everything else is percent-encoded, leading dots included, so that
    no vendor can name a folder above ours.
    """
    if _SAFE.match(name):
        return name
    encoded = quote(name, safe="") or _NAMELESS
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def from_path_name(component: str) -> str:
    """Return the name that `path_name` encoded."""
    return "" if component == _NAMELESS else unquote(component)
