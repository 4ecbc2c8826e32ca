"""When a session's DateStyle may be relied on to read dates that came as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from psqlpy._codecs import oids
from psqlpy._codecs.registry import default_registry
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.date_style import in_style
from psqlpy._protocol.query import Query
from psqlpy._protocol.statements import Statement

COLUMNS = (("day", oids.DATE, -1, 0), ("seen", oids.PG_SNAPSHOT, -1, 0))


def follower(text: str) -> Query:
    query = Query(text, ())
    query.statement = Statement(text, b"s1")
    return query


@pytest.mark.parametrize(
    ("style", "followers", "relied_on"),
    [
        ("SQL, DMY", [], True),
        (
            "SQL, DMY",
            [follower("SELECT 1"), follower("SELECT lower(a) FROM t"), follower("INSERT INTO t VALUES (1)")],
            True,
        ),
        ("SQL, DMY", [follower("SELECT 1"), follower("SET DateStyle = 'SQL, MDY'")], False),
        ("SQL, DMY", [follower("SELECT set_config('DateStyle', 'SQL, MDY', false)")], False),
        ("SQL, DMY", [follower("RESET ALL")], False),
        ("SQL, DMY", [follower("COMMIT")], False),
        ("SQL, DMY", [follower("CALL p()")], False),
        ("SQL, DMY", [Query("not looked at yet", ())], False),
        ("SQL, DMY", [Commands((b"COMMIT",))], False),
        ("ISO, DMY", [], False),
        (None, [], False),
    ],
)
def test_what_flies_behind_may_have_changed_it(
    style: str | None, followers: list[Any], relied_on: bool
) -> None:
    reported = {"DateStyle": style, "TimeZone": "UTC"}
    session: Any = SimpleNamespace(
        pgconn=SimpleNamespace(parameter_status=reported.get), flights=followers, registry=default_registry
    )
    plan = default_registry.result_plan(COLUMNS)
    assert plan.has_dates
    expected = default_registry.in_style("SQL, DMY", "UTC").result_plan(COLUMNS, 0) if relied_on else plan
    assert in_style(session, plan, COLUMNS) is expected


def test_only_text_with_dates_depends_on_the_style() -> None:
    for columns, expected in (
        (COLUMNS, True),
        (COLUMNS[:1], False),  # in binary
        (COLUMNS[1:], False),
        ((("days", 1182, -1, 0), COLUMNS[1]), True),
        ((("moment", oids.TIMESTAMPTZ, -1, 0), COLUMNS[1]), True),
        ((("interval", oids.INTERVAL, -1, 0), COLUMNS[1]), False),
    ):
        assert default_registry.result_plan(columns).has_dates is expected
