"""The tokenizer, and named parameters found with it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psqlpy._protocol import named_parameters
from psqlpy._protocol.named_parameters import bind_named, resolve_parameters
from psqlpy._protocol.sql_text import tokenize
from psqlpy.exceptions import ParameterTypeError, ParameterValueError, PyToRustValueMappingError


def tokens(text: str) -> list[tuple[str, str]]:
    """Return the significant tokens of `text` as (kind, text)."""
    return [(kind, text[a:b]) for kind, a, b in tokenize(text) if kind not in ("space", "comment")]


# One token each, white space and comments included.
SINGLE = [
    ("literal", "'plain'"),
    ("literal", "''"),
    ("literal", "'it''s'"),
    ("literal", r"'back\'"),
    ("literal", "'semi;colon -- /* $$ \" '"),
    ("literal", "'two\nlines'"),
    ("literal", r"E'it\'s'"),
    ("literal", r"e'ends with a backslash \\'"),
    ("literal", r"E'it''s \\\' x'"),
    ("literal", "E'first'\n'second\\'s'"),
    ("literal", "E'first' -- comment's\n\t-- another\r\n 'second\\'s'"),
    ("literal", r"U&'d\0061t\+000061'"),
    ("literal", "u&'it''s'"),
    ("literal", "B'0101'"),
    ("literal", "x'1FF'"),
    ("literal", "N'national'"),
    ("literal", '$$it\'s "here" -- /* $1 $a$ $$'),
    ("literal", "$$$$"),
    ("literal", "$tag$ $$ $other$ $tag $tagg$ $tag$"),
    ("literal", "$été$ $$ $été$"),
    ("literal", "$_1$x$_1$"),
    ("quoted", '"a ""quoted"" name; \' -- /* $$"'),
    ("quoted", 'U&"d\\0061t"'),
    ("comment", "-- to the end ' \" /* $$"),
    ("comment", "/* one ' \" $$ -- */"),
    ("comment", "/**/"),
    ("comment", "/***/"),
    ("comment", "/* outer /* inner */ '; */"),
    ("comment", "/*/**/*/"),
    ("word", "a$1"),
    ("word", "a$$b$$"),
    ("word", "_x9"),
    ("word", "été"),
    ("word", "a\u00a0b"),
    ("number", "42"),
    ("number", "3.5"),
    ("number", "4."),
    ("number", ".001"),
    ("number", "5e2"),
    ("number", "1.925E-3"),
    ("number", "1e+5"),
    ("number", "0x1F"),
    ("number", "0b1010_0101"),
    ("number", "0o273"),
    ("number", "1_500_000"),
    ("parameter", "$1"),
    ("parameter", "$65535"),
    ("placeholder", "$(name)p"),
    ("placeholder", "$( na'me -- )p"),
    ("placeholder", "$()p"),
    ("mark", "::"),
    ("mark", ";"),
    ("space", " \t\n\r\f\v"),
]
UNTERMINATED = [
    ("literal", "'never closed; -- x"),
    ("literal", "'doubled at the end''"),
    ("literal", "E'escaped\\'"),
    ("literal", "E'ends with a backslash\\"),
    ("literal", "$tag$ never $$ closed"),
    ("quoted", '"never closed'),
    ("comment", "/* outer /* inner */ never closed"),
]


@pytest.mark.parametrize(("kind", "text"), SINGLE + UNTERMINATED)
def test_is_one_token(kind: str, text: str) -> None:
    assert list(tokenize(text)) == [(kind, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ae'x\\'", ["ae", "'x\\'"]),  # the literal isn't an escaped one
        ("'a' 'b\\'", ["'a'", "'b\\'"]),
        ("E'a' 'b\\'", ["E'a'", "'b\\'"]),  # on one line nothing is continued
        ("E'a' /* \n */ 'b\\'", ["E'a'", "'b\\'"]),  # nor behind a block comment
        ("a--b", ["a"]),
        ("1+--2\n3", ["1", "+", "3"]),
        ("1*/*2*/3", ["1", "*", "3"]),
        ("1<@-/**/2", ["1", "<", "@", "-", "2"]),
        ("a::int", ["a", "::", "int"]),
        ("a[1:2]", ["a", "[", "1", ":", "2", "]"]),
        ("$1$$x$$", ["$1", "$$x$$"]),
        ("$1a$b$", ["$1", "a$b$"]),
        ("$a b$", ["$", "a", "b$"]),
        ("$(a", ["$", "(", "a"]),
        ("$(a)", ["$", "(", "a", ")"]),
        ("$(a)P", ["$", "(", "a", ")", "P"]),
        ("x$(a)p", ["x$", "(", "a", ")", "p"]),
        ("--x\r1", ["1"]),
        ("\x00\\`", ["\x00", "\\", "`"]),
    ],
)
def test_tokens_of(text: str, expected: list[str]) -> None:
    assert [token for _, token in tokens(text)] == expected


@given(st.text(alphabet="'\"$-/*\\eEuU&aT1. \n();:é\x00\ud800", max_size=60))
def test_tokens_cover_any_text_without_gaps(text: str) -> None:
    position = 0
    for kind, start, end in tokenize(text):
        assert kind != "opening"
        assert start == position < end
        position = end
    assert position == len(text)


@given(st.text(alphabet="'\"$-/*\\eEuU&aT1. \n();:é", max_size=60))
def test_coarse_tokens_are_those_that_coarse_promises(text: str) -> None:
    # A digit doesn't end at a letter for the coarse look, which is no difference but in what is wrong anyway.
    fine = [token for token in tokenize(text) if token[0] not in ("space", "number", "parameter", "mark")]
    coarse = [token for token in tokenize(text, coarse=True) if token[0] != "mark"]
    if "number" not in {kind for kind, _, _ in tokenize(text)}:
        assert coarse == fine


@given(st.lists(st.sampled_from(SINGLE), max_size=12))
def test_tokens_are_found_again_in_a_longer_text(pieces: list[tuple[str, str]]) -> None:
    # Something has to keep them apart, and no line break may, which would continue an E'…'.
    text = " , ".join(piece + ("\n" if piece.startswith("--") else "") for _, piece in pieces)
    expected = [piece for piece in pieces if piece[0] not in ("space", "comment")]
    assert [token for token in tokens(text) if token != ("mark", ",")] == expected


@given(st.text(max_size=40), st.text(alphabet="abc_\u00e9", max_size=3))
def test_literals_written_by_the_rules_are_one_token(content: str, tag: str) -> None:
    assert tokens(f"'{content.replace(chr(39), chr(39) * 2)}'") == [
        ("literal", f"'{content.replace(chr(39), chr(39) * 2)}'")
    ]
    assert len(tokens('"' + content.replace('"', '""') + '"')) == 1
    escaped = content.replace("\\", "\\\\").replace("'", "\\'")
    assert len(tokens(f"E'{escaped}'")) == 1
    if "$" not in content:
        assert len(tokens(f"${tag}${content}${tag}$")) == 1
    assert not [kind for kind, _, _ in tokenize(f"/*{content.replace('*', '').replace('/', '')}*/")][1:]


@pytest.mark.parametrize(
    "piece",
    ["'", "''", "E'", "E'\\'", '"', "$(", "$(a)", "$a$", "$$", "$ab", "/*", "/*/", "*/", "--", "-", "E''\n",
     "E'' ", "E''--\n", "a", "1", "1e", "1_", " ", "\n", "(", "U&", "E'a' --\n --"],
)  # fmt: skip
def test_takes_linear_time(piece: str) -> None:
    def seconds(count: int) -> float:
        text = piece * count
        started = time.process_time()
        deque(tokenize(text), maxlen=0)
        return time.process_time() - started

    # 16 times the text: 16 times the time, or 256 times if it were quadratic. The best of three: others run.
    small, large = min(seconds(2_000) for _ in range(3)), min(seconds(32_000) for _ in range(3))
    assert large < 80 * max(small, 0.0005)


@pytest.mark.parametrize(
    ("query", "text", "names"),
    [
        ("SELECT $(a)p", "SELECT $1", ("a",)),
        ("SELECT $(b)p, $(a)p, $(b)p", "SELECT $1, $2, $1", ("b", "a")),
        ("SELECT $(a)p::int,$( a )p", "SELECT $1::int,$2", ("a", " a ")),
        ("SELECT $(a b-c'é)p", "SELECT $1", ("a b-c'é",)),
        ("SELECT '$(x)p', $(a)p -- $(y)p", "SELECT '$(x)p', $1 -- $(y)p", ("a",)),
        ('SELECT "$(x)p", /* $(y)p */ $(a)p', 'SELECT "$(x)p", /* $(y)p */ $1', ("a",)),
        ("SELECT $$ $(x)p $$, $t$ $(y)p $t$, $(a)p", "SELECT $$ $(x)p $$, $t$ $(y)p $t$, $1", ("a",)),
        ("SELECT E'\\'$(x)p', $(a)p", "SELECT E'\\'$(x)p', $1", ("a",)),
        ("SELECT $(a)p1", "SELECT $1 1", ("a",)),
        ("SELECT $(a)pand true", "SELECT $1 and true", ("a",)),
        ("SELECT $(a)p$(b)p", "SELECT $1$2", ("a", "b")),
    ],
)
def test_named_placeholders_become_numbers(query: str, text: str, names: tuple[str, ...]) -> None:
    named = bind_named(query)
    assert named is not None
    assert (named.text, named.names) == (text, names)


@pytest.mark.parametrize("query", ["", "SELECT 1", "SELECT $1", "SELECT '$(a)p'", "SELECT $(a)", "-- $(a)p"])
def test_no_named_placeholders(query: str) -> None:
    assert bind_named(query) is None


@given(st.lists(st.text(alphabet="ab (é", max_size=3), min_size=1, max_size=30))
def test_numbers_go_by_first_appearance(names: list[str]) -> None:
    named = bind_named("SELECT " + ", ".join(f"$({name})p" for name in names))
    assert named is not None
    assert named.names == tuple(dict.fromkeys(names))
    numbers = [int(token[1:]) for kind, token in tokens(named.text) if kind == "parameter"]
    assert [named.names[number - 1] for number in numbers] == names


def test_numbered_and_named_placeholders_do_not_mix() -> None:
    with pytest.raises(ParameterValueError, match=r"both \$\(name\)p and \$1"):
        resolve_parameters("SELECT $1, $(a)p", {"a": 1})
    assert resolve_parameters("SELECT '$1', $(a)p", {"a": 1}) == ("SELECT '$1', $1", (1,))


@pytest.mark.parametrize("parameters", [[1, "x"], (1, "x"), range(2), b"ab", bytearray(b"ab"), deque([1, 2])])
def test_sequences_pass_as_they_are(parameters: object) -> None:
    text, values = resolve_parameters("SELECT $1, $2", parameters)
    assert text == "SELECT $1, $2"
    assert values is parameters


def test_bytes_are_a_sequence_of_integers() -> None:
    assert list(resolve_parameters("SELECT $1, $2", b"\x01\xff")[1]) == [1, 255]


def test_none_is_no_parameters() -> None:
    assert resolve_parameters("SELECT 1", None) == ("SELECT 1", ())


@pytest.mark.parametrize("wrap", [dict, MappingProxyType])
def test_mappings_give_values_by_name(wrap: Any) -> None:
    parameters: Mapping[str, object] = wrap({"a": 1, "b": 2, "unused": 3})
    assert resolve_parameters("SELECT $(b)p, $(a)p, $(b)p", parameters) == ("SELECT $1, $2, $1", (2, 1))


def test_a_sequence_fills_names_by_first_appearance() -> None:
    assert resolve_parameters("SELECT $(b)p, $(a)p, $(b)p", [1, 2]) == ("SELECT $1, $2, $1", [1, 2])


@pytest.mark.parametrize("parameters", [None, [], [1], (1, 2, 3)])
def test_a_sequence_for_names_must_have_their_number(parameters: object) -> None:
    with pytest.raises(ParameterValueError, match=r"names 2 parameters, but \d values were given"):
        resolve_parameters("SELECT $(b)p, $(a)p", parameters)


def test_a_missing_name_is_named() -> None:
    with pytest.raises(ParameterValueError, match="cannot find parameter with name <zz>") as caught:
        resolve_parameters("SELECT $(zz)p", {"z": "secret"})
    assert isinstance(caught.value, PyToRustValueMappingError)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("parameters", [{}, {"a": 1}])
@pytest.mark.parametrize("query", ["SELECT 1", "SELECT $1", "SELECT '$(a)p'"])
def test_a_mapping_needs_named_placeholders(query: str, parameters: dict[str, int]) -> None:
    with pytest.raises(ParameterTypeError, match=r"sequence or mapping.*\$\(name\)p"):
        resolve_parameters(query, parameters)


@pytest.mark.parametrize(
    "parameters", ["ab", "", {1, 2}, frozenset(), (n for n in range(0)), 5, 0, 1.5, object(), True]
)
@pytest.mark.parametrize("query", ["SELECT $1", "SELECT $(a)p"])
def test_other_types_are_no_parameters(query: str, parameters: object) -> None:
    with pytest.raises(ParameterTypeError, match=f"sequence or mapping, not {type(parameters).__name__}"):
        resolve_parameters(query, parameters)


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: dict[str, Any] = {}
    monkeypatch.setattr(named_parameters, "_remembered", remembered)
    for number in range(3000):
        assert resolve_parameters(f"SELECT $(a)p, {number}", [number]) == (f"SELECT $1, {number}", [number])
        assert len(remembered) <= 1024
    assert resolve_parameters("SELECT $(a)p, 2999", [7]) == ("SELECT $1, 2999", [7])
    long = "SELECT $(a)p, " + "1" * 20_000
    assert resolve_parameters(long, [7]) == ("SELECT $1" + long[12:], [7])
    assert long not in remembered
