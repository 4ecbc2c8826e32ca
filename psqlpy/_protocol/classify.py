"""What a statement's text tells about how it must be sent and what it may leave behind; no parser.

Every answer errs on the side that costs time rather than correctness: a construct that isn't recognised counts as
leaving state behind.
"""

from __future__ import annotations

import re
from typing import Literal

from psqlpy._protocol.harmless_functions import HARMLESS_FUNCTIONS
from psqlpy._protocol.sql_text import tokenize

TransactionControl = Literal["begin", "end", "savepoint"]


class StatementTraits:
    """What is known of a statement from its text alone.

    Where the text has several statements (`multiple`), all but the cautious flags are about the first one.
    """

    __slots__ = (
        "alone_only",
        "can_retry_after_heal",
        "copy_stdio",
        "drops_prepared",
        "is_copy",
        "is_empty",
        "keyword",
        "leaves_state",
        "makes_prepared",
        "may_control_transaction",
        "multiple",
        "only_reads",
        "transaction_control",
        "unsettles_session",
    )

    def __init__(
        self, tokens: list[str], *, multiple: bool, drops_later: bool, complete: bool, block_prepares: bool
    ) -> None:
        words = [token for token in tokens if token != "("]
        first = words[0] if words else ""
        #: The first keyword in upper case, behind comments, parentheses and semicolons; "" if there is none.
        self.keyword: str = first if first.isascii() and first[:1].isalpha() and '"' not in first else ""
        #: Nothing but white space, comments and semicolons.
        self.is_empty: bool = not tokens
        #: More than one statement, which only the simple query protocol takes.
        self.multiple: bool = multiple
        #: COPY in any form.
        self.is_copy: bool = first == "COPY"
        #: COPY whose data travels over the connection, so not from or to a file or program of the server.
        self.copy_stdio: bool = self.is_copy and _copies_over_connection(tokens)
        #: Begins, ends or divides a transaction by itself.
        self.transaction_control: TransactionControl | None = _transaction_control(words)
        #: After it the transaction status must be asked for: procedures and DO blocks may commit too.
        self.may_control_transaction: bool = (
            self.transaction_control is not None or first in ("CALL", "DO") or self.multiple
        )
        #: May be sent again after the server refused its prepared form: nothing in it can have been
        #: committed.
        self.can_retry_after_heal: bool = not (first in ("CALL", "DO") or self.multiple)
        #: Needs a Sync of its own, since it can't or (REINDEX, CLUSTER, subscriptions: depending on what the
        #: names stand for) may not be able to run in a transaction block. No reason to refuse it in one.
        self.alone_only: bool = _is_alone_only(words)
        #: Removes all prepared statements from the session. Whoever removes one by its name has made it.
        self.drops_prepared: bool = (
            words[:2] in (["DISCARD", "ALL"], ["DEALLOCATE", "ALL"])
            or words[:3] == ["DEALLOCATE", "PREPARE", "ALL"]
            or drops_later
        )
        #: Makes prepared statements of its user's own, or is a DO block that may.
        self.makes_prepared: bool = block_prepares or (
            first == "PREPARE" and self.transaction_control is None
        )
        known = complete and not self.multiple
        #: False only if nothing of it can stay in the session, apart from an open transaction: no setting, lock,
        #: temporary table, channel, sequence value, cursor or prepared statement. Any relation may be a view, any
        #: function, operator or cast a user's, and those may do anything: only texts without them leave nothing.
        self.leaves_state: bool = not self.is_empty and not (
            known and (self.transaction_control is not None or _is_plain(self.keyword, tokens))
        )
        #: Reads, and calls nothing but built-in functions that do no more; as far as a text can tell, which doesn't
        #: show what a view or an operator calls.
        self.only_reads: bool = (
            not self.is_empty and known and not _may_act(self.keyword, tokens, HARMLESS_FUNCTIONS)
        )
        #: Until it has ended nobody knows whether a transaction is open, or which statements are prepared.
        self.unsettles_session: bool = self.may_control_transaction or self.drops_prepared

    def __repr__(self) -> str:
        return f"StatementTraits({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def classify(query: str) -> StatementTraits:
    """Return the traits of `query`, whatever it contains; takes about 2 µs for each of its tokens."""
    tokens, second, complete = _first_statement(query)
    # Inside literals as well: to prepare again in vain is cheaper than to read all of a long script.
    drops_later = second >= 0 and _DROPS_PREPARED.search(query, second) is not None
    block_prepares = tokens[:1] == ["DO"] and may_prepare(query)
    return StatementTraits(
        tokens,
        multiple=second >= 0,
        drops_later=drops_later,
        complete=complete,
        block_prepares=block_prepares,
    )


def is_shareable(query: str) -> bool:
    """Whether a statement may travel on a connection that others use: it reads, and calls built-in functions only.

    As far as a text can tell, which doesn't show what views, operators, casts and `row.function` call.
    """
    # Not needed where nothing is shared.
    from psqlpy._protocol.shareable_functions import SHAREABLE_FUNCTIONS

    tokens, second, complete = _first_statement(query)
    if second >= 0 or not complete or not _TELLS_OF_SESSION.isdisjoint(tokens):
        return False
    keyword = next((token for token in tokens if token != "("), "")
    if tokens[:2] == ["SHOW", "ALL"]:
        return False
    return not _may_act(keyword, tokens, SHAREABLE_FUNCTIONS)


# What is not the same on every connection, or on a shared one, which is read-only.
_TELLS_NAMES = (
    "DEFAULT_TRANSACTION_READ_ONLY",
    "TRANSACTION_READ_ONLY",
    "CURRENT_SETTING",
    "PG_SETTINGS",
    "PG_CURSORS",
    "PG_PREPARED_STATEMENTS",
)
_TELLS_OF_SESSION = frozenset((*_TELLS_NAMES, *(f'"{name.lower()}"' for name in _TELLS_NAMES)))


def may_prepare(script: str) -> bool:
    """Whether any of several statements, or a block of code, may make prepared statements."""
    return _PREPARES.search(script) is not None


_PREPARES = re.compile(r"\bPREPARE\b", re.IGNORECASE)
_DROPS_PREPARED = re.compile("DISCARD|DEALLOCATE", re.IGNORECASE)


# Of a long statement that begins with one of these the first tokens tell all that matters but `leaves_state`
# and `multiple`: looking through a megabyte of values would stop an event loop for a second.
_LONG = 16_384
_ENOUGH_TOKENS = 16
_TOLD_BY_BEGINNING = frozenset(("DELETE", "INSERT", "MERGE", "SELECT", "UPDATE", "VALUES", "WITH"))


def _first_statement(query: str) -> tuple[list[str], int, bool]:
    """Return the tokens of the first statement, where the second begins or -1, and whether none was left out.

    A token is a word in upper case, a quoted identifier as it stands, a mark, or for constants and parameters
    one of `'`, `0`, `$`. Semicolons inside parentheses (CREATE RULE) and inside BEGIN ATOMIC … END (the body
    of a function) don't end a statement; CASE ends with END as well.
    """
    tokens: list[str] = []
    parentheses = bodies = 0
    previous = ""
    ended = False
    for kind, start, end in tokenize(query):
        if kind == "space" or kind == "comment":
            continue
        token = _STANDS_FOR.get(kind) or _fold(query[start:end], kind)
        if token == ";" and not parentheses and not bodies:
            ended = bool(tokens)
            continue
        if ended:
            return tokens, start, True
        tokens.append(token)
        if token == "(":
            parentheses += 1
        elif token == ")":
            parentheses = max(0, parentheses - 1)
        elif tokens[0] == "CREATE" and previous not in (".", "AS"):
            if token == "ATOMIC":
                bodies += previous == "BEGIN"
            elif bodies:
                bodies += (token == "CASE") - (token == "END")
        previous = token
        if len(tokens) == _ENOUGH_TOKENS and len(query) - end > _LONG and tokens[0] in _TOLD_BY_BEGINNING:
            return tokens, _second_statement(query, end), False
    return tokens, -1, True


def _second_statement(query: str, position: int) -> int:
    """Return where the statement behind the one at `position` begins, which has no bodies, or -1."""
    if ";" not in query[position:].rstrip("; \t\n\r\f\v"):
        return -1
    ended = False
    for kind, start, _ in tokenize(query, position, coarse=True):
        if kind == "mark":
            ended = ended or query[start] == ";"
        elif ended and kind != "comment":
            return start
    return -1


_STANDS_FOR = {"literal": "'", "number": "0", "parameter": "$", "placeholder": "$"}


def _fold(token: str, kind: str) -> str:
    # Only ASCII: to Python U+017F is an S in lower case, to the server it is not.
    return token.upper() if kind == "word" and token.isascii() else token


def _copies_over_connection(tokens: list[str]) -> bool:
    depth = 0
    for index, token in enumerate(tokens):
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        # The grammar takes either word in either direction.
        elif token in ("STDIN", "STDOUT") and depth == 0 and tokens[index - 1] in ("FROM", "TO"):
            return True
    return False


def _transaction_control(words: list[str]) -> TransactionControl | None:
    first, second, third = (*words[:3], "", "", "")[:3]
    if first == "BEGIN" or (first == "START" and second == "TRANSACTION"):
        return "begin"
    if first in ("SAVEPOINT", "RELEASE"):
        return "savepoint"
    if first == "ROLLBACK":
        return "savepoint" if "TO" in (second, third) else "end"
    if first in ("COMMIT", "END", "ABORT"):
        return "end"
    # PREPARE transaction AS … prepares a statement of that name.
    if first == "PREPARE" and second == "TRANSACTION" and third == "'":
        return "end"
    return None


def _is_alone_only(words: list[str]) -> bool:
    first, second = (*words[:2], "", "")[:2]
    if first in ("VACUUM", "REINDEX", "CLUSTER"):
        return True
    if first in ("CREATE", "DROP"):
        return second in ("DATABASE", "TABLESPACE", "SUBSCRIPTION") or "CONCURRENTLY" in words[2:4]
    if first == "ALTER":
        return (
            second in ("SYSTEM", "SUBSCRIPTION")
            or (second == "DATABASE" and "TABLESPACE" in words)
            or (second == "TABLE" and "CONCURRENTLY" in words)  # DETACH PARTITION … CONCURRENTLY
        )
    return (first, second) in (("DISCARD", "ALL"), ("COMMIT", "PREPARED"), ("ROLLBACK", "PREPARED"))


# What may come before a parenthesis without being a function: reserved words and those that can't name one
# ("reserved" and "cannot be function or type name" in the manual's appendix "SQL Key Words"). Those of the
# latter that look like functions (COALESCE, EXTRACT, …) are harmless; JSON_VALUE and others may be the user's
# before 16.
_NO_FUNCTION_NAMES = """
    ALL AND ANY ARRAY AS ASC ASYMMETRIC BETWEEN BIT BOTH CASE CAST CHAR CHARACTER COALESCE CURRENT_TIME
    CURRENT_TIMESTAMP DEC DECIMAL DESC DISTINCT ELSE END EXCEPT EXISTS EXTRACT FETCH FLOAT FOR FROM GREATEST
    GROUP GROUPING HAVING IN INTERSECT INTERVAL JSON_OBJECT LATERAL LEADING LEAST LIMIT LOCALTIME
    LOCALTIMESTAMP NATIONAL NCHAR NORMALIZE NOT NULLIF NUMERIC OFFSET ON ONLY OR ORDER OVERLAY PLACING
    POSITION ROW SELECT SOME SUBSTRING SYMMETRIC THEN TIME TIMESTAMP TO TRAILING TREAT TRIM UNION USING
    VALUES VARCHAR VARIADIC WHEN WHERE WINDOW XMLATTRIBUTES XMLCONCAT XMLELEMENT XMLEXISTS XMLFOREST
    XMLPARSE XMLPI XMLROOT XMLSERIALIZE XMLTABLE
"""
_NO_FUNCTIONS = frozenset(_NO_FUNCTION_NAMES.split())
# Words that may name a function, but don't behind one of these.
_NO_FUNCTIONS_BEHIND = {
    "BY": ("GROUP", "ORDER", "PARTITION"),
    "CUBE": ("BY",),
    "FILTER": (")",),
    "FIRST": ("FETCH",),
    "MATERIALIZED": ("AS", "NOT"),
    "NEXT": ("FETCH",),
    "OVER": (")",),
    "ROLLUP": ("BY",),
    "SETS": ("GROUPING",),
    "VARYING": ("BIT", "CHAR", "CHARACTER", "NCHAR"),
    "ZONE": ("TIME",),
}
# `AS t (a, b)`, `(…) t (a, b)` and `WITH t (a, b) AS` name columns; `::numeric(10, 2)` has a length.
_NAMES_NO_FUNCTION = (")", "::", "AS", "RECURSIVE", "WITH")
_OPERANDS = (")", "]", "'", "0", "$", "NOT")
_INFIX = ("ILIKE", "JOIN", "LIKE")  # they may name functions, but don't behind an operand or a table
_READS = frozenset(("SELECT", "SHOW", "TABLE", "VALUES", "WITH"))
_WRITES = frozenset(("DELETE", "INSERT", "INTO", "MERGE", "OPERATOR", "UPDATE"))
_LOCKS = frozenset(("KEY", "NO", "SHARE", "UPDATE"))


# Literals, numbers, parameters and what may stand between them.
_PLAIN = frozenset(("SELECT", "VALUES", "AS", "NULL", "TRUE", "FALSE", ",", "(", ")", "'", "0", "$"))


def _is_plain(keyword: str, tokens: list[str]) -> bool:
    """Tell whether a statement only shows a setting, or values that it brings along, perhaps under other names."""
    if keyword == "SHOW":
        return True
    previous = ""
    for token in tokens:
        if token not in _PLAIN and previous != "AS":
            return False
        previous = token
    return keyword in ("SELECT", "VALUES")


def _may_act(keyword: str, tokens: list[str], harmless: frozenset[str]) -> bool:
    if keyword not in _READS:
        return True
    opened_by: list[str] = []  # the two tokens before each open parenthesis
    before = previous = ""
    schema: str | None = None  # what stands before the dot before `previous`
    for token in tokens:
        if token in _WRITES or (previous == "FOR" and token in _LOCKS):
            return True
        if token == "(":
            if _may_be_unknown_function(previous, before, schema, harmless):
                return True
            opened_by.append(f"{before} {previous}")
        elif token == ")" and opened_by and opened_by.pop() == "DISTINCT ON":
            token = ") of DISTINCT ON"  # behind this one a function may follow
        schema = before if previous == "." else None
        before, previous = previous, token
    return False


def _may_be_unknown_function(name: str, before: str, schema: str | None, harmless: frozenset[str]) -> bool:
    """Tell whether `name (`, behind `before`, may call a function that isn't known to be harmless."""
    if not _is_name(name):
        return False
    function = name[1:-1] if name.startswith('"') else name.lower() if name.isascii() else name
    if before == ".":
        return schema not in ("PG_CATALOG", '"pg_catalog"') or function not in harmless
    if before in _NAMES_NO_FUNCTION or function in harmless:
        return False
    if name in _INFIX:
        return before not in _OPERANDS and (not _is_name(before) or before in _NO_FUNCTIONS or before == "BY")
    return name not in _NO_FUNCTIONS and before not in _NO_FUNCTIONS_BEHIND.get(name, ())


def _is_name(token: str) -> bool:
    return token[:1].isalpha() or token[:1] in ('"', "_") or not token.isascii()
