"""JSON that is a little more than JSON: read in place, every byte where it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.elasticsearch import json_bytes, lenient_json
from sidecar.elasticsearch.json_bytes import elements, members, whole
from sidecar.elasticsearch.lenient_json import decode, strict, without_comments
from sidecar.elasticsearch.msearch_lines import envelope, status
from sidecar.elasticsearch.request import SearchRequest
from sidecar.rescoring.first_stage import read
from sidecar.rescoring.plan import RescorePlan, plan

DEEP = b"[" * 990 + b"]" * 990
READ: list[tuple[bytes, Any]] = [
    (rb'"\ud83d"', "\ufffd"),
    (rb'"\uDe00 \\ud83d \uD83D\uDE00 \ud83dx"', "\ufffd \\ud83d \U0001f600 \ufffdx"),
    (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
    (b'"\xed\xa0\xbd"', "\ufffd"),
    (b'"\xc0\x80 \xff \xf4\x90\x80\x80 \xc3\xa9"', "?? ? ???? é"),
    (b'{"a" /* " } */:1 // [\n}', {"a": 1}),
    (b'{"a":"/* no comment */ // none"}', {"a": "/* no comment */ // none"}),
    (b'\xef\xbb\xbf{"a":"\xef\xbb\xbf"}', {"a": "\ufeff"}),
    (b"[1e400,-0]", [float("inf"), 0]),
    (b"9" * 5000, float("inf")),
]


@pytest.mark.parametrize(("text", "value"), READ)
def test_what_elasticsearch_stores_is_read(text: bytes, value: Any) -> None:
    assert decode(text) == value
    for names in (True, False):
        plain = strict(text, names=names)
        assert len(plain) == len(text)
        json.loads(plain, parse_int=float)


def test_what_is_nested_too_deep_becomes_nothing_and_the_rest_is_read() -> None:
    text = b'{"a":' + DEEP + b',"b":{"c":"fox"}}'
    assert decode(text)["b"] == {"c": "fox"}
    assert members(text, whole(text))["b"].of(text) == b'{"c":"fox"}'


@pytest.mark.parametrize(
    "text", [b"", b"{", b'"', rb'"\ud8', b'{"a":1,}', b"/*", b"//", b"[" * 3000, b"NaN", b"\xff", b"'a'"]
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode(text)
    with pytest.raises(ValueError, match=r"\S"):
        members(text, whole(text))


def test_names_that_hold_halves_of_pairs_stay_apart() -> None:
    text = b'{"\\ud83d":1,"\\ud83e":2,"\xed\xa0\xbf":3}'
    assert [span.of(text) for span in members(text, whole(text)).values()] == [b"1", b"2", b"3"]


HITS = [b'{"_index":"i","_id":"%d","_source":{"t":"fox %s"}}' % (i, b"\\ud83d" * (i % 7 == 0)) for i in range(60)]


def test_a_half_of_a_pair_costs_no_walk_through_all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    def walked(_: bytes) -> bytes:
        raise AssertionError("walked token by token")

    monkeypatch.setattr(lenient_json, "_shallow", walked)
    text = b"[" + b",".join(HITS) + b',"\xed\xa0\xbd"]'
    assert len(elements(text, whole(text))) == len(HITS) + 1
    assert len(decode(text)) == len(HITS) + 1
    assert without_comments(text) == text


def test_an_answer_with_halves_of_pairs_is_made_plain_once_however_many_hits_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def counted(text: bytes, *, names: bool) -> bytes:
        made.append(len(text))
        return strict(text, names=names)

    monkeypatch.setattr(json_bytes, "strict", counted)
    answer = b'{"took":1,"hits":{"hits":[' + b",".join(HITS) + b"]}}"
    request = SearchRequest(
        method="POST",
        target="/i/_search",
        body=b'{"query":{"match":{"t":"fox"}}}',
        headers={"content-type": "application/json"},
    )
    planned = plan(request, IndexMapping.model_validate({"fields": ["t"]}), "i", {None: Fusion()})
    assert isinstance(planned, RescorePlan)
    first = read(answer, planned)
    assert [hit.raw for hit in first.hits] == HITS
    assert {hit.text for hit in first.hits} == {"fox \ufffd", "fox"}
    item = answer[:-1] + b',"status":200}'
    several = b'{"responses":[' + b",".join([item] * 3) + b"]}"
    assert envelope(several, 3).item(2) == item
    assert status(item) == 200
    assert made == [len(answer), len(several)]


ODD = st.sampled_from([text for text, _ in READ] + [b'"a"', b"[]", b"{}", b"null", DEEP])
SPACE = st.sampled_from([b"", b" ", b"\n", b"/* , */", b"// ]\n", b"\t/**/ "])


@given(st.lists(st.tuples(SPACE, ODD, SPACE), max_size=6))
def test_elements_and_members_are_the_bytes_that_came(items: list[tuple[bytes, bytes, bytes]]) -> None:
    items = [(before, value, after) for before, value, after in items if not value.startswith(b"\xef")]
    array = b"[" + b",".join(b"".join(item) for item in items) + b"]"
    assert [span.of(array) for span in elements(array, whole(array))] == [value for _, value, _ in items]
    named = (b"%s%d%s:%s%s%s" % (b'"', i, b'"', *item) for i, item in enumerate(items))
    text = b"{" + b",".join(named) + b"}"
    assert [span.of(text) for span in members(text, whole(text)).values()] == [value for _, value, _ in items]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_plain_json_is_its_own_strict_form(value: Any) -> None:
    for text in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        assert strict(text, names=True) == strict(text, names=False) == text
        assert decode(text) == value
