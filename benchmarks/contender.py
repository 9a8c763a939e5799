"""One contender's run, as a process: ``python -m benchmarks.contender TASK ANSWER`` (both files)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.task import Answer, Task, read_task
from benchmarks.usage import Meter


def main() -> None:
    """Run, measure, and write the answer."""
    task = read_task(Path(sys.argv[1]))
    run: Callable[[Task], Answer] = import_module(f"benchmarks.{task.contender}").run  # only what this one needs
    with Meter() as meter:
        answer = run(task)
    answer.contender = task.contender
    answer.cpu, answer.cpu_share, answer.cpu_busiest = meter.cpu, meter.share, meter.busiest
    Path(sys.argv[2]).write_text(json.dumps(asdict(answer)))
    sys.stdout.flush()
    os._exit(0)  # threads that still poll would keep the process


if __name__ == "__main__":
    main()
