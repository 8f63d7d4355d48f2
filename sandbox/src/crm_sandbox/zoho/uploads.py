"""Files that were uploaded for bulk writes.

https://www.zoho.com/crm/developer/docs/api/v8/bulk-write/upload-file.html
"""

import io
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.zoho.errors import ZohoError, invalid_data
from crm_sandbox.zoho.org import Org

LARGEST = 25 * 1024 * 1024
_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Upload:
    """One file: the texts of its members by name."""

    members: dict[str, bytes]
    made_at: datetime


@dataclass
class UploadHandler:
    """Takes files and gives them out again by their ids."""

    org: Org
    largest: int = LARGEST
    _files: dict[str, Upload] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Response:
        """Take one file.

        Raises:
            ZohoError: a header is missing or wrong, or the file is no ZIP of CSV files.
        """
        if request.header("feature") != "bulk-write":
            raise _needed("feature")
        if request.header("x-crm-org") != self.org.org_id:
            raise _needed("X-CRM-ORG")
        content = _file_of(request)
        if len(content) > self.largest:
            raise invalid_data("the file is too large", maximum_size=self.largest)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                members = {name: packed.read(name) for name in packed.namelist()}
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError) as problem:
            # Broken, cut off, encrypted, or packed in a way that nobody can undo.
            raise _bad_format() from problem
        if not members or not all(name.lower().endswith(".csv") for name in members):
            raise _bad_format()
        now = self.org.clock.stamp()
        with self._lock:
            number = str(self.org.ids.one("uploads", len(self._files)))
            self._files[number] = Upload(members, now)
        made = str(self.org.tables.value("SELECT zoho_moment(?::TIMESTAMP)", [now]))
        said = {"status": "success", "code": "FILE_UPLOAD_SUCCESS", "message": "file uploaded."}
        return json_response(said | {"details": {"file_id": number, "created_time": made}})

    def find(self, number: Any) -> Upload | None:
        """Return a file by its id, for a day."""
        with self._lock:
            found = self._files.get(str(number))
        if found is None or self.org.clock.stamp() - found.made_at > _KEPT:
            return None
        return found


def _needed(name: str) -> ZohoError:
    return ZohoError(400, "MANDATORY_NOT_FOUND", "required header not found", {"header_name": name})


def _bad_format() -> ZohoError:
    return ZohoError(400, "INVALID_FILE_FORMAT", "the file must be a ZIP of CSV files")


def _file_of(request: Request) -> bytes:
    kind = request.header("content-type")
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body, policy=HTTP)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_param("name", header="content-disposition") == "file":
            content = part.get_payload(decode=True)
            return content if isinstance(content, bytes) else b""
    raise ZohoError(400, "MANDATORY_NOT_FOUND", "required file not found", {"api_name": "file"})
