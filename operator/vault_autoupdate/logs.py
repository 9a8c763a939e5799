"""Log lines: for people on a console, or one JSON document a line for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from vault_autoupdate.model.text import printable
from vault_autoupdate.settings import Settings

_FIELDS: Final = (
    "resource", "vault", "mapping", "machine", "job", "run", "request", "operation", "purpose", "reason",
)  # fmt: skip
"""Fields of ours that a line may carry, through ``extra=``."""

_TOLD_AGAIN: Final = 3600.0
"""Seconds after which the same warning is told again."""
_MOST_TOLD: Final = 20_000

__all__ = ["Repeats", "configure_logging"]


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


class Repeats(logging.Filter):
    """Lets a warning through once an hour, and says then how often it was kept back.

    The same is what has the same words, before anything is filled in, about the same resource and mapping, for the
    same reason. Whatever fails again and again is one line and a number; all of it is in the log at level debug.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()
        """When each was told last, and how often it was kept back since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell this one."""
        if record.levelno < logging.WARNING or logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            return True
        about = (getattr(record, name, "") for name in ("resource", "mapping", "machine", "reason"))
        key, now = (record.name, record.msg, *about), self._clock()
        told_at, kept_back = self._told.get(key, (float("-inf"), 0))
        if now - told_at < _TOLD_AGAIN:
            self._told[key] = (told_at, kept_back + 1)
            return False
        self._told[key] = (now, 0)
        self._told.move_to_end(key)
        while len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        if kept_back:
            record.msg, record.args = f"{record.getMessage()} (and {kept_back} times since it was told last)", ()
        return True


def configure_logging(settings: Settings) -> None:
    """Send all log lines to standard error in the configured form.

    The libraries below us speak only from warnings on: at lower levels some of them log request headers.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Console())
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("vault_autoupdate").setLevel(settings.log_level.upper())
    logging.getLogger("kopf").setLevel(logging.INFO if settings.log_level == "debug" else logging.WARNING)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for each event of the watch
    logging.getLogger("azure").setLevel(logging.ERROR)  # what it warns of, it raises as well
