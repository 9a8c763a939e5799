"""The results as tables that read well in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.measure import Result

__all__ = ["format_table", "results_table"]

_HEAD = (
    "scenario", "who", "to patch", "T* s", "compliant s", "ratio", "known s", "writes", "reads", "429",
    "most writes /60 s", "most reads /60 min", "scale", "client CPU", "simulator CPU",
)  # fmt: skip


def results_table(results: Iterable[Result]) -> str:
    """One row for each result."""
    return format_table(_HEAD, [_row(result) for result in results])


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: text to the left, what begins with a digit or a dash to the right."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    is_number = [all(row[column][:1] in "0123456789-" for row in rows) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, is_number, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, is_number, strict=True))
    return "\n".join([line(head), f"|{rule}|", *(line(row) for row in rows)])


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.title,
        result.contender,
        f"{result.to_patch:,}",
        _number(result.shortest or None),
        _number(result.seconds) if result.seconds is not None or not result.to_patch else _partly(result),
        _number(result.ratio, 3),
        _number(result.known),
        f"{result.writes:,}",
        f"{result.reads:,}",
        f"{result.throttled:,}",
        f"{result.peak_writes}",
        f"{result.peak_reads:,}",
        f"{result.scale:g}",
        _share(result.cpu_share, result.cpu_busiest) + ("" if result.is_valid else " (!)"),
        f"{result.simulator_cpu_share:.0%}",
    )


def _partly(result: Result) -> str:
    return f"- ({result.compliant:,} at the end)"


def _share(average: float, busiest: float) -> str:
    return f"{average:.0%}, at most {busiest:.0%}"


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
