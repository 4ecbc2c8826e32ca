"""Where tokens of PostgreSQL's SQL begin and end; nothing about what they mean.

After the manual's section 4.1, "Lexical Structure", and with `standard_conforming_strings` on. Never fails:
what isn't terminated runs to the end of the text, as the server would read it before it complains. Linear in
the length of the text. `classify` and `named_parameters` are built on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

# Any character outside ASCII may be part of a name, no-break spaces included: the server's lexer looks at
# bytes. Said by what can't be part of one: compiling a range up to U+10FFFF takes 15 ms for each that there is.
_NAME_START = r"[^\x00-@\[-^`{-\x7f]"
_NAME_PART = r"[^\x00-/:-@\[-^`{-\x7f]"
_WORD_PART = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_NUMBER = (
    r"0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    rf"|(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?"
)
_PREFIX = r"(?:[bBxXnN]|[uU]&)?"

# No alternative can fail after a long match and be tried again, which keeps the whole linear. What has an
# inside (block comments nest, quotes are doubled or escaped, dollar quotes end with their own tag) is only
# opened here: a repeated group would take 200 bytes of memory for each doubled quote.
_WORDS_AND_QUOTES = (
    r"(?P<comment>--[^\n\r]*)",
    rf"(?P<literal>{_PREFIX}'[^']*'(?!'))",
    r'(?P<quoted>(?:[uU]&)?"[^"]*"(?!"))',
    rf"(?P<opening>/\*|[eE]'|{_PREFIX}'|(?:[uU]&)?\"|\$(?:{_NAME_START}{_NAME_PART}*)?\$|\$\()",
    rf"(?P<word>{_NAME_START}{_WORD_PART}*)",
)
_TOKENS = "|".join(
    (
        r"(?P<space>[ \t\n\r\f\v]+)",
        *_WORDS_AND_QUOTES,
        rf"(?P<number>{_NUMBER})",
        r"(?P<parameter>\$[0-9]+)",
        r"(?P<mark>::|.)",
    )
)
_COARSE = "|".join((*_WORDS_AND_QUOTES, r"(?P<mark>;)"))

_COMMENT_EDGE = r"/\*|\*/"
_QUOTE_EDGE = "''?"
_NAME_EDGE = '""?'
# Only parts separated by a line break continue a literal. It matters for E'…' alone: elsewhere the parts may
# as well be tokens of their own, but here the second part is still read with backslash escapes.
_CONTINUED = r"'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r][ \t\n\r\f\v]*(?:--[^\n\r]*[\n\r][ \t\n\r\f\v]*)*'"
_ESCAPED_EDGE = rf"\\.|{_CONTINUED}|''?"


# Not at import, most of whose time it would take.
@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def tokenize(text: str, start: int = 0, *, coarse: bool = False) -> Iterator[tuple[str, int, int]]:
    """Yield (kind, start, end) for the tokens of `text`, without gaps, white space and comments included.

    Kinds: `space`, `comment`, `literal` (every kind of string constant, dollar quotes too), `quoted` (an
    identifier in double quotes), `word` (keyword or identifier), `number`, `parameter` (`$1`), `placeholder`
    (`$(name)p`, which is this driver's, not PostgreSQL's) and `mark`: one character of an operator or of
    punctuation, or `::`. Operators come character by character: comments that begin inside an operator end
    it, so nothing is lost by that.

    `start` must be where a token begins. `coarse` leaves out spaces, numbers, parameters and marks other
    than the semicolon, which takes a fraction of the time for a long list of values.
    """
    pattern = _compiled(_COARSE if coarse else _TOKENS)
    position, length = start, len(text)
    # The next ")" behind a "$(": remembered, or a text of many "$(" would take quadratic time.
    parenthesis = -1
    while position < length:
        for found in pattern.finditer(text, position):
            kind = found.lastgroup or "mark"
            start, position = found.span()
            if kind != "opening":
                yield kind, start, position
                continue
            opening = found.group()
            if opening != "$(":
                kind, position = _close(opening, text, position)
            else:
                if parenthesis < position:
                    closing = text.find(")", position)
                    parenthesis = length if closing < 0 else closing
                if text.startswith(")p", parenthesis):
                    kind, position = "placeholder", parenthesis + 2
                else:
                    kind, position = "mark", start + 1
            yield kind, start, position
            break  # finditer doesn't know where these end: begin again behind them
        else:
            return


def _close(opening: str, text: str, position: int) -> tuple[str, int]:
    """Return the kind of what `opening`, up to `position`, has opened, and where it ends."""
    last = opening[-1]
    if last == "$":
        closing = text.find(opening, position)
        return "literal", len(text) if closing < 0 else closing + len(opening)
    if last == "*":
        depth = 1
        for edge in _compiled(_COMMENT_EDGE).finditer(text, position):
            depth += 1 if edge.group() == "/*" else -1
            if not depth:
                return "comment", edge.end()
        return "comment", len(text)
    edges = _NAME_EDGE if last == '"' else _ESCAPED_EDGE if opening in ("e'", "E'") else _QUOTE_EDGE
    kind = "quoted" if last == '"' else "literal"
    for edge in _compiled(edges).finditer(text, position):
        if edge.group() == last:
            return kind, edge.end()
    return kind, len(text)
