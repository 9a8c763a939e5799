"""Log lines: for people on a console, or one JSON document a line for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

from vault_autoupdate.model.text import printable
from vault_autoupdate.settings import Settings

_FIELDS: Final = (
    "resource", "vault", "mapping", "machine", "job", "run", "request", "operation", "purpose", "reason",
)  # fmt: skip
"""Fields of ours that a line may carry, through ``extra=``."""

__all__ = ["configure_logging"]


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={getattr(record, name)}" for name in _FIELDS if getattr(record, name, ""))
        said = printable(record.getMessage() + (f"  [{fields}]" if fields else ""))
        when = f"{time.strftime('%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}"
        line = f"{when} {record.levelname:<7} {said}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update({name: getattr(record, name) for name in _FIELDS if getattr(record, name, "")})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)


def configure_logging(settings: Settings) -> None:
    """Send all log lines to standard error in the configured form.

    The libraries below us speak only from warnings on: at lower levels some of them log request headers.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("vault_autoupdate").setLevel(settings.log_level.upper())
    logging.getLogger("kopf").setLevel(logging.INFO if settings.log_level == "debug" else logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for each event of the watch
    logging.getLogger("azure").setLevel(logging.ERROR)  # what it warns of, it raises as well
