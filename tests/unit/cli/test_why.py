from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.sample_status import full_status
from vault_autoupdate.cli.why import why_lines

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
METADATA = {"namespace": "default", "name": "dr"}


def _lines(status: Any = None, *, events: Any = (), drift: Any = (), **spec: Any) -> list[str]:
    return list(why_lines({"metadata": METADATA, "spec": spec, "status": status}, events, drift, NOW))


def test_a_resource_that_nobody_has_looked_at_asks_whether_the_operator_runs() -> None:
    assert "does the operator run" in "\n".join(_lines(None))


def test_what_is_not_there_has_no_title() -> None:
    assert len(_lines({})) == 3


def test_newest_events_come_first_with_how_often() -> None:
    def event(minutes: int, **more: Any) -> dict[str, Any]:
        return {"eventTime": (NOW - timedelta(minutes=minutes)).isoformat(), "reason": "R", "type": "Warning", **more}

    lines = _lines(
        events=[event(9, message="old"), event(2, message="new", series={"count": 3}), event(5, message="mid")]
    )
    assert lines[-3:] == ["  2m ago, 3 times: Warning R: new", "  5m ago: Warning R: mid", "  9m ago: Warning R: old"]


def test_many_mappings_that_drift_are_cut_and_counted() -> None:
    lines = _lines(drift=[f"m{number}: differs" for number in range(100)])
    assert lines[-1] == "  and 85 more"


def test_all_that_a_status_can_say_is_shown() -> None:
    text = "\n".join(_lines(full_status()))
    for title in ("Conditions", "Failures", "Jobs in flight", "Updates of agents", "Agents"):
        assert f"\n{title}\n" in text


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["conditions", "failures", "operations", "agentUpdates", "agents", "worst", "problems", "message"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    _JSON, st.lists(st.dictionaries(st.sampled_from(["series", "eventTime", "count", "metadata"]), _JSON), max_size=3)
)
def test_no_status_whatever_is_an_error_or_moves_the_cursor(status: Any, events: Any) -> None:
    assert all(line.isprintable() for line in _lines(status, events=events))
