"""What it costs to be scraped: /metrics of thousands of resources, by two who ask at the same time, and /healthz."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

import requests

from benchmarks.usage import cpu_seconds, resident_bytes
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until

RESOURCES: Final = 5000
_SCRAPERS: Final = 2
_PERIOD: Final = 3.0
"""Seconds between two scrapes of one: a fifth of the usual 15, so that there are enough of them in a short time."""
_ROUNDS: Final = 5
_PAGES: Final = 6
_SHOWN_AGAIN: Final = 5.5
"""Seconds after which no page is shown again."""
_HEALTH_PERIOD: Final = 0.02
_MOST_SERIES: Final = 60_000
_MOST_CPU: Final = 0.3
_MOST_HEALTH: Final = 1.0

__all__ = ["RESOURCES", "ScrapeResult", "run_scrapes"]


@dataclass(frozen=True)
class ScrapeResult:
    """Two scrapers at one process, and somebody who asks for its health all the while."""

    resources: int
    series: int
    bytes: int
    """As text; what goes over the wire is gzipped."""
    scrapes: int
    cpu: float
    """Processor seconds for one page, compressing included: the least of several."""
    cpu_most: float
    """The most of them: the same work on the same page takes up to twice as long where the machine has neighbours."""
    longest: float
    """Seconds that the slowest scrape took."""
    health_longest: float
    """Seconds that the slowest answer of /healthz took."""
    resident_mib: float


def run_scrapes(count: int = RESOURCES) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure a fleet that is well and one that Azure refuses, and print it; returns results and what is too much."""
    results, problems = [], []
    for mood in ("well", "refused"):
        result = _measure(count, mood)
        results.append({"mood": mood, **asdict(result)})
        print(
            f"/metrics of {count:,} resources, {mood}: {result.series:,} series, {result.bytes / 1e6:.1f} MB, "
            f"{result.cpu:.2f} to {result.cpu_most:.2f} s of processor time a page; a scrape took at most "
            f"{result.longest:.2f} s; "
            f"/healthz at most {result.health_longest * 1000:.0f} ms; {result.resident_mib:.0f} MiB",
            flush=True,
        )
        for what, value, most in (
            ("series", result.series, _MOST_SERIES),
            ("processor seconds a scrape", result.cpu, _MOST_CPU),
            ("seconds for /healthz", result.health_longest, _MOST_HEALTH),
        ):
            if value > most:
                problems.append(f"{count} resources, {mood}, scraped: {value:.4g} {what}, over {most:g}")
    return results, problems


@contextmanager
def _served(count: int, mood: str) -> Iterator[tuple[int, str, str]]:
    """A process with such a fleet: its id, and the addresses of its pages."""
    metrics, health = free_ports(2)
    command = [sys.executable, "-m", "workbench.prometheus.fleet", "--resources", str(count), "--mood", mood]
    ports = ["--metrics-port", str(metrics), "--health-port", str(health)]
    with subprocess.Popen([*command, *ports], stdin=subprocess.PIPE) as process:
        pages = f"http://127.0.0.1:{metrics}/metrics", f"http://127.0.0.1:{health}/healthz"
        try:
            wait_until(lambda: _answers(pages[1]), within=120, what="the fleet to be served")
            yield process.pid, *pages
        finally:
            process.terminate()


def _measure(count: int, mood: str) -> ScrapeResult:
    with _served(count, mood) as (pid, metrics, health):
        text = _get(metrics)
        took: list[float] = []
        ended = threading.Event()
        healths: list[float] = []
        asking = threading.Thread(target=_ask, args=(health, ended, healths))
        scrapers = [threading.Thread(target=_scrape, args=(metrics, took)) for _ in range(_SCRAPERS)]
        asking.start()
        for number, scraper in enumerate(scrapers):
            time.sleep(number * _PERIOD / _SCRAPERS)  # as far from one another as two with the same period can be
            scraper.start()
        for scraper in scrapers:
            scraper.join()
        ended.set()
        asking.join()
        pages = _costs(pid, metrics)
        return ScrapeResult(
            resources=count,
            series=sum(not line.startswith(b"#") for line in text.splitlines()),
            bytes=len(text),
            scrapes=len(took),
            cpu=min(pages),
            cpu_most=max(pages),
            longest=max(took),
            health_longest=max(healths),
            resident_mib=resident_bytes(pid) / 2**20,
        )


def _costs(pid: int, url: str) -> list[float]:
    """Processor time of pages that nobody else asks for, each of which is made anew."""
    _get(url)
    took = []
    for _ in range(_PAGES):
        time.sleep(_SHOWN_AGAIN)
        before = cpu_seconds(pid)
        _get(url)
        took.append(cpu_seconds(pid) - before)
    return took


def _scrape(url: str, took: list[float]) -> None:
    for _ in range(_ROUNDS):
        began = time.monotonic()
        _get(url)
        took.append(time.monotonic() - began)
        time.sleep(max(0.0, _PERIOD - took[-1]))


def _ask(url: str, ended: threading.Event, took: list[float]) -> None:
    while not ended.wait(_HEALTH_PERIOD):
        began = time.monotonic()
        _get(url)
        took.append(time.monotonic() - began)


def _answers(url: str) -> bool:
    try:
        return bool(_get(url))
    except requests.ConnectionError:
        return False


def _get(url: str) -> bytes:
    return requests.get(url, timeout=60).content  # which takes gzip, as Prometheus does
