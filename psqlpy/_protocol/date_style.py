"""How to read dates that came as text, beside a type that we don't know: the session's DateStyle tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psqlpy._codecs.registry import Columns
    from psqlpy._protocol.request import Request
    from psqlpy._protocol.session import Session

_SETTING = re.compile(r"\b(?:SET|RESET|DISCARD|SET_CONFIG)\b", re.IGNORECASE)


def in_style(session: Session, plan: Any, columns: Columns) -> Any:
    """Return the plan for a result that has just landed, `plan` itself where the dates are in ISO style.

    Settings are reported with the Sync that follows a change. What flies behind may have changed them already: then
    nobody knows how to read 01/02, and `plan` refuses it.
    """
    style = session.pgconn.parameter_status("DateStyle") or "ISO"
    if style.startswith("ISO") or any(map(_may_change_settings, session.flights)):
        return plan
    zone = session.pgconn.parameter_status("TimeZone") or ""
    return session.registry.in_style(style, zone).result_plan(columns, plan.format)


def _may_change_settings(request: Request) -> bool:
    """Whether a request is anything but one statement that has no word for it; functions are trusted not to."""
    statement = getattr(request, "statement", None)
    return (
        statement is None
        or statement.traits.may_control_transaction  # SET LOCAL ends with the transaction
        or _SETTING.search(statement.text) is not None
    )
