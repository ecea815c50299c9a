"""`_msearch` bodies and answers, taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.elasticsearch import msearch_lines
from sidecar.elasticsearch.request import SearchRequest


def test_headers_name_indices_in_all_their_spellings() -> None:
    body = b'{"index":"a"}\n{}\n\n{"size":1}\n{"index":["a","b*"],"preference":"p"}\n{}\n'
    body += b'{"indices":"c"}\r\n{}\r\n{ }\n{}\n'
    found = msearch_lines.split(body)
    assert [sub.index for sub in found] == ["a", None, "a,b*", "c", None]
    assert msearch_lines.join((sub.header, sub.body) for sub in found) == body


def test_an_empty_line_at_the_end_is_overlooked() -> None:
    assert len(msearch_lines.split(b"{}\n{}\n\n")) == 1


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        *((odd, "a header without a search") for odd in (b"", b"\n", b"{}\n", b"{}\n{}\n{}\n")),
        (b"{}\n{}", "not terminated by a newline"),
        (b"[]\n{}\n", "a header is not an object"),
        (b"{\n{}\n", "Expecting property name"),
        (b'{"index":1}\n{}\n', "a name is not a string"),
    ],
)
def test_what_elasticsearch_refuses_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        msearch_lines.split(body)


@given(st.text(alphabet='{}[]",:0\n index', max_size=40).map(str.encode) | st.binary(max_size=30))
def test_any_bytes_are_split_or_refused(body: bytes) -> None:
    try:
        found = msearch_lines.split(body)
    except ValueError:
        return
    assert body.startswith(msearch_lines.join((sub.header, sub.body) for sub in found))


def test_an_answer_is_put_together_again() -> None:
    nested = b'{"_source":{"x":"\\ud83d","status":404},"status" : 200 }'
    assert [msearch_lines.status(item) for item in (nested, nested[:-17] + b"}")] == [200, 0]
    answer = b'{ "took" : 5, "responses" : [ {"a":1.0,"status":200} ,\n{"status":404}], "x":1e400 }'
    found = msearch_lines.envelope(answer, 2)
    assert [msearch_lines.status(found.item(i)) for i in (0, 1)] == [200, 404]
    assert msearch_lines.assemble(found, [b"{}", b"[1]"], 9) == b'{ "took" : 9, "responses" : [ {} ,\n[1]], "x":1e400 }'
    assert msearch_lines.assemble(found, [b"1", b"2", b"3"], 9) == b'{ "took" : 9, "responses" : [1,2,3], "x":1e400 }'
    assert msearch_lines.assemble(msearch_lines.EMPTY, [b"1"], 2) == b'{"took":2,"responses":[1]}'


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        *((few, "0 answers to 1 searches") for few in (b"{}", b'{"responses":[]}', b'{"error":{}}')),
        (b"", "Input data was truncated"),
        (b'{"responses":1}', "Expected `array`, got `int`"),
    ],
)
def test_what_is_not_the_answer_is_refused(answer: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        msearch_lines.envelope(answer, 1)


@pytest.mark.parametrize("item", [b"", b"{}", b'{"status":"x"}', b"[]"])
def test_an_item_without_a_status(item: bytes) -> None:
    assert msearch_lines.status(item) == 0


def test_a_search_of_several_is_planned_like_one_alone() -> None:
    [sub] = msearch_lines.split(b'{}\n {"size":3} \n')
    request = SearchRequest(method="GET", target="/i/_msearch?format=yaml&x=1", body=b"", headers={"a": "b"})
    found = msearch_lines.as_search(sub, request)
    assert (found.target, found.body, found.headers) == ("/_search?format=yaml", b'{"size":3}', {"a": "b"})
