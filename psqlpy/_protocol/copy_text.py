"""The text of COPY statements (PostgreSQL manual, "COPY"): every name and every option is quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from psqlpy import exceptions
from psqlpy._protocol.simple_query import encode_query
from psqlpy._protocol.sql_text import tokenize
from psqlpy._protocol.transaction import quote_identifier

FORMATS = ("text", "csv", "binary")

Options = dict[str, object]


class _Options(TypedDict, total=False):
    """What COPY takes in both directions (PostgreSQL's manual says what each means); None leaves it out."""

    format: str | None
    delimiter: str | None
    null: str | None
    quote: str | None
    escape: str | None
    encoding: str | None


class CopyInOptions(_Options, total=False):
    """The options of COPY FROM."""

    header: bool | Literal["match"] | None
    force_not_null: Sequence[str] | Literal["*"] | None
    force_null: Sequence[str] | Literal["*"] | None
    default: str | None
    on_error: str | None
    reject_limit: int | None
    log_verbosity: str | None
    freeze: bool | None


class CopyOutOptions(_Options, total=False):
    """The options of COPY TO."""

    header: bool | None
    force_quote: Sequence[str] | Literal["*"] | None


def check_options(call: str, options: Mapping[str, object], kind: type) -> Options:
    """The options that are given; TypeError for one that isn't of this kind."""
    for name in options:
        if name not in kind.__annotations__:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
    given = {name: value for name, value in options.items() if value is not None}
    if "format" in given:
        given["format"] = check_format(given["format"])
    return given


def is_utf8(options: Options) -> bool:
    """Whether the data is UTF-8, which is what a str becomes; the server ignores the same characters in a name."""
    name = str(options.get("encoding", "utf8")).lower()
    return "".join(filter(str.isalnum, name)) in ("utf8", "unicode")


def qualified(table_name: str, schema_name: str | None) -> str:
    """The name of a table, of one schema or of the first in the search path that has it."""
    table = quote_identifier(table_name).decode()
    return table if schema_name is None else f"{quote_identifier(schema_name).decode()}.{table}"


def column_list(columns: Sequence[str] | None, option: str = "columns") -> str:
    """` ("a", "b")`, nothing for all columns."""
    if columns is None:
        return ""
    return f" ({', '.join(quote_identifier(name).decode() for name in check_columns(columns, option))})"


def check_columns(columns: Sequence[str], option: str = "columns") -> list[str]:
    """A list of names; ParameterTypeError and ParameterValueError, which say whose it is."""
    if isinstance(columns, str | bytes):
        raise exceptions.ParameterTypeError(
            f"{option} must be a list of names, not {type(columns).__name__}: put a single name into a list"
        )
    try:
        names = list(columns)
    except TypeError:
        raise exceptions.ParameterTypeError(
            f"{option} must be a list of names, not {type(columns).__name__}"
        ) from None
    if not names:
        purpose = " to copy all columns" if option == "columns" else ""
        raise exceptions.ParameterValueError(f"{option} has no names in it: leave it out{purpose}")
    return names


def copy_from_stdin(target: str, options: Options) -> bytes:
    """COPY … FROM STDIN; `target` is quoted."""
    return encode_query(f"COPY {target} FROM STDIN{_option_list(options)}")


def copy_to_stdout(source: str, options: Options) -> bytes:
    """COPY … TO STDOUT; `source` is quoted, or a query in parentheses."""
    return encode_query(f"COPY {source} TO STDOUT{_option_list(options)}")


def parenthesised(query: str) -> str:
    """A query as COPY's source. One that would end the parentheses, and go on with something else, is refused."""
    encode_query(query)
    depth, end, ended = 0, 0, False
    for kind, start, stop in tokenize(query):
        if kind in ("space", "comment"):
            continue
        mark = query[start:stop] if kind == "mark" else ""
        if mark == ";":
            ended = True
            continue
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if ended or depth < 0:
            raise exceptions.ParameterValueError("the query to copy must be one statement, and complete")
        end = stop
    if not end or depth:
        raise exceptions.ParameterValueError("the query to copy must be one statement, and complete")
    return f"({query[:end]}\n)"


def check_format(format: object) -> str:
    """One of FORMATS, in any case."""
    if not isinstance(format, str) or format.lower() not in FORMATS:
        raise exceptions.ParameterValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    return format.lower()


def _option_list(options: Options) -> str:
    words = [f"{name.upper()} {_option(name, value)}" for name, value in options.items() if value is not None]
    return f" ({', '.join(words)})" if words else ""


def _option(name: str, value: object) -> str:
    if name == "format":
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if name == "reject_limit":
        if not isinstance(value, int):
            raise exceptions.ParameterTypeError(f"{name} must be an int, not {type(value).__name__}")
        return str(value)
    if name.startswith("force_"):
        if value == "*":
            return "*"
        return column_list(value, name)[1:]  # type: ignore[arg-type]  # checked there
    if not isinstance(value, str):
        raise exceptions.ParameterTypeError(f"{name} must be a str, not {type(value).__name__}")
    return quote_literal(value)


def quote_literal(value: str) -> str:
    """A constant that means exactly `value`, whatever standard_conforming_strings is."""
    quoted = value.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"
