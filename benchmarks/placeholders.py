"""`$1` as `%s`, for the drivers whose placeholders are those; once for each statement."""

from __future__ import annotations

import re
from functools import cache


@cache
def formatted(query: str) -> str:
    return re.sub(r"\$\d+", "%s", query.replace("%", "%%"))
