"""Query strings: this syntax in, exactly these words out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.rescoring.query_text import simple_query_string
from sidecar.rescoring.query_text.query_string import texts
from tests.steps import steps


def words(text: str) -> str:
    return " ".join(found for _, found in texts(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quick brown", "quick brown"),
        ("+quick -slow fox", "quick fox"),
        ("title:fox body:(red dog)", "fox red dog"),
        ('title:"red fox"~3^2 dog^4 cat~ cow~2', "red fox dog cat cow"),
        ("NOT bad good", "good"),
        ("good AND NOT bad", "good"),
        ("a AND b OR c && d || e", "a b c d e"),
        ("(new york city) OR (big apple)", "new york city big apple"),
        ("age:[1 TO 5] fox", "fox"),
        ("date:{2012-01-01 TO *} fox", "fox"),
        ("age:>=10 fox", "fox"),
        ("age:(>=10 AND <20) fox", "fox"),
        ("/joh?n(ath[oa]n)/ fox", "fox"),
        ("name:/re.*/ x", "x"),
        ("qu?ck bro*", "qu ck bro"),
        ("*:*", ""),
        ("title:* fox", "fox"),
        (r"foo\:bar", "foo:bar"),
        (r"first\ name:Alice", "Alice"),
        (r"book.\*:(quick OR brown)", "quick brown"),
        (r"what \*is\?", "what *is?"),
        (r'"a \"b\" c"', 'a "b" c'),
        ('"unclosed phrase', "unclosed phrase"),
        ("c++ c# .net A&B AT&T 50% good", "c++ c# .net A&B AT&T 50% good"),
        ("re-ranking state-of-the-art", "re-ranking state-of-the-art"),
        ("what is this?", "what is this"),
        ('-"bad phrase" good', "good"),
        ("-(a b) good", "good"),
        ("!bad good", "good"),
        ("NOT (a OR b) AND c", "c"),
        ("title:(-a b) c", "b c"),
        ("title:(a OR b)^3 c", "a b c"),
        ("日本語 検索", "日本語 検索"),
        ("title:全文検索 -除外", "全文検索"),
        (r"\u0041bc \u6771京", "Abc 東京"),
        ("wild* *wild? w?ld", "wild wild w ld"),
        ("x/y fox/", "x"),
        ("count:(>10 fox) den", "den"),
        ("count:(fox >10) den", "fox >10 den"),
        (">10 fox", ">10 fox"),
        ("-title:(a body:b) c", "c"),
        ("cat~AUTO dog~2^3", "cat dog"),
        ('fox^2 "red fox"^2~1', "fox red fox"),
        (r"jet\-engine jet-engine", "jet-engine"),
        ('[ "a b" TO "c]" ] fox', "fox"),
        ("and or not", "and or not"),
        ("foo!bar", "foo"),
        ("(a", "a"),
        ("a) b", "a b"),
        ("", ""),
    ],
)
def test_lucene_syntax(text: str, expected: str) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iphone 12 - 64GB black", "iphone 12 - 64GB black"),
        ("Star Wars - A New Hope", "Star Wars - A New Hope"),
        ("star AND - wars", "star - wars"),
        ("foo ! bar + den", "foo ! bar + den"),
        ("title:(- foo)", "- foo"),
        ("foo -bar - den", "foo - den"),
        ("foo -\tbar", "foo - bar"),
    ],
)
def test_a_sign_before_white_space_excludes_nothing(text: str, expected: str) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("message: monkey jackal bear", [("message", "monkey"), (None, "jackal bear")]),
        ("message :monkey", [("message", "monkey")]),
        ("date: [2012 TO 2013] apple", [(None, "apple")]),
        ("date :\t{* TO 2013} apple", [(None, "apple")]),
        ("count: >10 apple", [(None, "apple")]),
        ("title: (a OR b) c", [("title", "a b"), (None, "c")]),
        ("title: (a -b body: c) d", [("title", "a"), ("body", "c"), (None, "d")]),
        ("-title: a b", [(None, "b")]),
        ('title: "red fox" den', [("title", "red fox"), (None, "den")]),
        ("title: - foo", [("title", "-"), (None, "foo")]),
        ("_exists_: title", [("_exists_", "title")]),
        (r"ti\tle: fox", [("title", "fox")]),
        ("* : fox", [("*", "fox")]),
    ],
)
def test_white_space_around_the_colon(text: str, expected: list[tuple[str | None, str]]) -> None:
    assert list(texts(text)) == expected


def test_a_default_field_that_is_named_compares() -> None:
    assert list(texts(">10 fox", named=True)) == []
    assert list(texts("fox >10", named=True)) == [(None, "fox >10")]
    assert list(texts(">10^2 fox", named=True)) == [(None, "fox")]
    assert list(texts("| title:<5 title:fox")) == [(None, "|"), ("title", "fox")]


def simple_words(text: str, flags: object = None) -> str:
    return " ".join(simple_query_string.texts(text, simple_query_string.flags_of(flags)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"fried eggs" +(eggplant | potato) -frittata', "fried eggs eggplant potato"),
        ("quick~2 fo* (bar)", "quick fo bar"),
        ('"red fox"~3 den', "red fox den"),
        ("title:fox AND NOT x", "title:fox AND NOT x"),
        ("http://example.com/a?b=c at 10:30", "http://example.com/a?b=c at 10:30"),
        ("is 50 [1 TO 5] /path/ c++ a+b", "is 50 [1 TO 5] /path/ c++ a b"),
        ("-(a b) c", "c"),
        (r"a\-b \*", "a-b *"),
        ("東京 -大阪", "東京"),
        ("Star Wars - A New Hope", "Star Wars A New Hope"),
        ("--a -(b -c) -(d e", "a d e"),
        ('""a -"b c" d', "a d"),
        ('"a b"~2 c "d', "a b c d"),
        ("a~1 b~ ~c ** d*", "a b ~c * d"),
        (r"f\* g\\*", "f* g\\"),
        ("(a (b | c)) )d()", "a b c d"),
        ('(a "b ) c" d', "a b c d"),
    ],
)
def test_simple_syntax(text: str, expected: str) -> None:
    assert simple_words(text) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, "a c d e f g h"),
        ("ALL", "a c d e f g h"),
        ("", "a c d e f g h"),
        ("NONE", 'a -b "c d"~1 (e|f) g~2 h*'),
        ("OR|NONE", 'a -b "c d"~1 (e|f) g~2 h*'),
        (0, 'a -b "c d"~1 (e|f) g~2 h*'),
        (-1, "a c d e f g h"),
        ("WHITESPACE", 'a -b "c d"~1 (e|f) g~2 h*'),
        ("not|whitespace|prefix", 'a d"~1 (e|f) g~2 h'.replace("a ", 'a "c ')),
        ("WHITESPACE|PHRASE|NEAR|FUZZY", "a -b c d (e|f) g h*"),
        ("OR|AND|PREFIX", 'a -b "c d"~1 (e f) g~2 h'),
        (2 + 32 + 128, 'a "c d"~1 e|f g~2 h*'),
        (7.5, "a c d e f g h"),
    ],
)
def test_flags_turn_operators_on(flags: object, expected: str) -> None:
    assert simple_words('a -b "c d"~1 (e|f) g~2 h*', flags) == expected


@given(st.text(alphabet='ab :"()[]{}\\+-!~^*?/&|<>TONRu09日\n', max_size=60), st.integers(0, 1023))
def test_any_text_is_read(text: str, flags: int) -> None:
    assert isinstance(words(text), str)
    assert set(simple_words(text, flags)) <= {*text, " "}


PIECES = [
    '"',
    "[a TO ",
    "{",
    "~,",
    "a~",
    "+~",
    "/a",
    "\\",
    "a:",
    "(",
    "-",
    '"\\',
    '("',
    'a~\\"',
    "a(",
    "(a) ",
    '[" ',
    "\\/",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("read", [words, simple_words])
def test_steps_grow_with_the_length_only(piece: str, read: Callable[[str], str]) -> None:
    short, long = (steps(lambda n=n: read(piece * n)) for n in (200, 400))  # type: ignore[misc]
    assert long <= 2.2 * short + 200
