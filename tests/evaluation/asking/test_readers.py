"""Every form of queries and judgments, and every mistake with its file and line."""

from __future__ import annotations

import pytest

from sidecar.evaluation.asking.readers import qrels, queries

TOPICS = """<top>
<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations.
</top>

<top>
<num>302</num>
<title>Poliomyelitis and
Post-Polio</title>
</top>
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOPICS, {"301": "International Organized Crime", "302": "Poliomyelitis and Post-Polio"}),
        ('1\tfirst query\n2\twith "quotes", commas\n', {"1": "first query", "2": 'with "quotes", commas'}),
        ("\ufeff1\tfirst\r\n\r\n2\tsecond\r\n", {"1": "first", "2": "second"}),
        ("qid\ttext\n1\tfirst\n", {"1": "first"}),
        ('id,query\n1,"one, two"\n\n2,three\n', {"1": "one, two", "2": "three"}),
        ('"query_id","text"\n"1","say ""hi"""\n', {"1": 'say "hi"'}),
        ('id,text\n1,"two\nlines"\n', {"1": "two\nlines"}),
        (
            '{"_id": "1", "text": "first", "metadata": {}}\n{"_id": 2, "text": "second\\u2028line"}\n',
            {"1": "first", "2": "second\u2028line"},
        ),
        ("1\tline\u2028separator\n", {"1": "line\u2028separator"}),
    ],
)
def test_queries(text: str, expected: dict[str, str]) -> None:
    assert queries(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "q.txt: no queries in it; expected TREC topics"),
        ("1\tfine\nno tab here\n", "q.txt:2: expected TREC topics"),
        ("1\ta\n1\tb\n", "q.txt:2: the query id '1' comes twice"),
        ("1\t \n", "q.txt:1: query '1' has no text"),
        ('{"_id": "1", "text": "a"}\n{"_id": "2"\n', "q.txt:2: not valid JSON"),
        ('{"_id": "1"}\n', "q.txt:1: expected `_id` and `text` in the line, found _id"),
        ("name,text\n1,a\n", "q.txt:1: no column 'query-id' in the header (columns: name, text)"),
        ("id,text\n1,a,b\n", "q.txt:2: 3 columns, the header has 2"),
        ("\n<top>\n<num>1\n</top>\n", "q.txt:2: a <top> without <num> or <title>"),
        ("<top>\n<num>1\n<title>never closed\n", "q.txt: no queries in it"),
    ],
)
def test_mistakes_in_queries(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        queries(text, "q.txt")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "1 0 a 2\n1 0 b 0\n2 0 a 1\n",
        "1\t0\ta\t2\n1\t0\tb\t0\n2\tQ0\ta\t1",
        "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n2\ta\t1\n",
        "query_id,doc_id,grade\n1,a,2\n1,b,0\n2,a,1.0\n",
        "\ufeffrating,docid,topic\r\n2,a,1\r\n0,b,1\r\n1,a,2\r\n",
    ],
)
def test_qrels(text: str) -> None:
    assert qrels(text) == {"1": {"a": 2, "b": 0}, "2": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.txt: no judgments in it; expected `query 0 document grade`"),
        ("1 0 a 2\n1 a 2\n", "r.txt:2: expected `query 0 document grade`"),
        ("1 0 a 2\n\n1 0 a 1\n", "r.txt:3: document 'a' is judged twice for query '1'"),
        ("1 0 a high\n", "r.txt:1: the grade must be a whole number, found 'high'"),
        ("1 0 a 0.5\n", "r.txt:1: the grade must be a whole number, found '0.5'"),
        ("1 0 a inf\n", "r.txt:1: the grade must be a whole number"),
        ("query-id\tcorpus-id\tscore\n1\ta\n", "r.txt:2: 2 columns, the header has 3"),
        ("query-id,score\n1,1\n", "r.txt:1: no column 'corpus-id' in the header (columns: query-id, score)"),
    ],
)
def test_mistakes_in_qrels(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        qrels(text, "r.txt")
    assert str(caught.value).startswith(message)
