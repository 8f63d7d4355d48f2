"""Log lines of commands: on stderr, without secrets, from level warning on by default."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

from structlog import DropEvent
from structlog.typing import Processor

from crm_pipeline.kernel.secret import redacted
from crm_pipeline.kernel.text import on_one_line

LEVEL_VARIABLE = "CRM_LOG_LEVEL"


def to_stderr(default: str = "warning") -> None:
    """Send the log lines of this process to stderr; CRM_LOG_LEVEL overrides the level."""
    import structlog

    name = os.environ.get(LEVEL_VARIABLE, "") or default
    level = logging.getLevelNamesMapping().get(name.upper(), logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _short_retry(level),
            _cleaned,
            structlog.processors.LogfmtRenderer(
                key_order=["timestamp", "level", "event"], sort_keys=True
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up at each line: stderr may have been replaced since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _short_retry(level: int) -> Processor:
    """Shorten stamina's line, and make it information: most retries succeed."""

    def shortened(
        logger: object,  # noqa: ARG001 - structlog hands it to every processor
        name: str,  # noqa: ARG001 - as above
        event: MutableMapping[str, Any],
    ) -> MutableMapping[str, Any]:
        if event.get("event") == "stamina.retry_scheduled":
            if level > logging.INFO:
                raise DropEvent
            for key in ("callable", "args", "kwargs", "waited_so_far"):
                event.pop(key, None)
            event["event"], event["level"] = "retry", "info"
        return event

    return shortened


def _cleaned(
    logger: object,  # noqa: ARG001 - structlog hands it to every processor
    name: str,  # noqa: ARG001 - as above
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """Remove secrets, control characters and line breaks."""
    return {on_one_line(key): _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return on_one_line(redacted(str(value)))
