"""The table that notebooks show for a result: bounded, escaped, and only what is shown is decoded.

Styles are inline and without colours: sanitised notebooks drop style sheets, and dark themes must read well.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psqlpy._result import Plan, RawResult

MAX_ROWS = 20
MAX_COLUMNS = 30
MAX_CHARACTERS = 100

_NUMBERS = frozenset(("int2", "int4", "int8", "oid", "float4", "float8", "numeric", "money"))
_FAINT = "opacity:0.6"
_NULL = f'<em class="psqlpy-null" style="{_FAINT}">NULL</em>'


def table(result: RawResult, plan: Plan, start: int, stop: int) -> str:
    """Return the HTML for the rows from `start` to `stop`; for a statement without columns its command tag.

    Never raises for a value: a cell that can't be decoded says so.
    """
    if not plan.names:
        return f"<code>{escape(result.command_tag or 'empty statement')}</code>"
    columns = range(min(len(plan.names), MAX_COLUMNS))
    rows = range(start, min(stop, start + MAX_ROWS))
    alignments = ["right" if plan.type_names[column] in _NUMBERS else "left" for column in columns]
    head = "".join(
        f'<th style="text-align:{alignments[column]}">{_cut(plan.names[column])}<br>'
        f'<small style="font-weight:normal;{_FAINT}">{_cut(plan.type_names[column])}</small></th>'
        for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{alignments[column]};white-space:pre-wrap">'
            f"{_cell(result, plan, row, column)}</td>"
            for column in columns
        )
        + "</tr>\n"
        for row in rows
    )
    # The classes keep Jupyter from typesetting text between dollar signs as a formula.
    return (
        '<table class="psqlpy-result tex2jax_ignore mathjax_ignore">\n'
        f'<caption style="text-align:left;caption-side:bottom">{_caption(plan, stop - start)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
    )


def _caption(plan: Plan, row_count: int) -> str:
    if row_count > MAX_ROWS:
        caption = f"first {MAX_ROWS} of {row_count:,} rows"
    else:
        caption = "1 row" if row_count == 1 else f"{row_count or 'no'} rows"
    hidden = len(plan.names) - MAX_COLUMNS
    if hidden > 0:
        caption += f", first {MAX_COLUMNS} of {len(plan.names):,} columns ({hidden:,} more)"
    return caption


def _cell(result: RawResult, plan: Plan, row: int, column: int) -> str:
    # Exception, not DataError: types that users register run their code here, in decoders and in __str__.
    try:
        value = plan.value(result, row, column)
        return _NULL if value is None else _cut(_text(value))
    except Exception as error:
        reason = _cut(f"{type(error).__name__}: {error}", 500)
        return f'<em class="psqlpy-undecodable" style="{_FAINT}" title="{reason}">can\'t be decoded</em>'


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        # Cut first: the text of a large value would be four times as large. One more byte makes _cut mark it.
        return repr(value[: MAX_CHARACTERS + 1])
    return str(value)


def _cut(text: str, length: int = MAX_CHARACTERS) -> str:
    """Return the escaped text, after `length` characters an ellipsis."""
    return escape(text if len(text) <= length else text[:length] + "…")
