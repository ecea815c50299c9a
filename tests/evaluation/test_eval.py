"""`sidecar eval` on a real Elasticsearch with the bundled model, over a small judged set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ir_measures
import pytest
import pytrec_eval
from elasticsearch import Elasticsearch, helpers

from sidecar import cli
from tests.checkpoints import make_checkpoint

INDEX = "judged-notes"
DOCUMENTS = {
    "zip": "Work with ZIP archives. Tools to create, read, write, append and list a ZIP file.",
    "gzip": "Support for gzip files. Compress and decompress data like the GNU programs would.",
    "csv": "CSV file reading and writing, the format of spreadsheets and databases.",
    "json": "JSON encoder and decoder for a lightweight data interchange format.",
    "time": "Measure execution time of small code snippets, avoiding common traps.",
    "clock": "Time access and conversions: read the clock of the system.",
    "copy": "Shallow and deep copy operations on objects.",
    "tree": "Copy files and remove a whole directory tree of files.",
    "random": "Generate pseudo-random numbers for various distributions.",
    "secrets": "Generate secure random numbers for managing secrets.",
    "mail": "Send mail with the SMTP protocol client.",
    "mime": "Build and read mail messages with attachments.",
}
QUERIES = {
    "q1": "read a zip file",
    "q2": "how long does my code take to run, measure time",
    "q3": "delete a directory with all files in it",
    "q4": "secure random passwords",
    "q5": "send mail",
}
QRELS = {
    "q1": {"zip": 2, "gzip": 1, "csv": 0},
    "q2": {"time": 2, "clock": 0},
    "q3": {"tree": 1, "csv": 0},
    "q4": {"secrets": 2, "random": 1},
    "q5": {"mail": 2, "mime": 1},
    "unasked": {"zip": 1},
}


@pytest.fixture(scope="module")
def upstream(elasticsearch_url: str) -> Iterator[str]:
    """The URL of a node with the judged index."""
    with Elasticsearch(elasticsearch_url) as client:
        properties = {"text": {"type": "text", "analyzer": "english"}, "name": {"type": "text"}}
        client.indices.delete(index=INDEX, ignore_unavailable=True)
        client.indices.create(
            index=INDEX,
            settings={"number_of_shards": 1, "number_of_replicas": 0},
            mappings={"properties": properties},
        )
        actions = ({"_index": INDEX, "_id": i, "_source": {"text": t, "name": i}} for i, t in DOCUMENTS.items())
        helpers.bulk(client, actions, refresh=True)
        yield elasticsearch_url
        client.indices.delete(index=INDEX)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of the queries and judgments."""
    folder = tmp_path_factory.mktemp("judged")
    lines = [f"{query}\t{text}\n" for query, text in {**QUERIES, "q6": "not judged"}.items()]
    (folder / "queries.tsv").write_text("".join(lines))
    grades = [f"{query} 0 {doc} {grade}\n" for query, judged in QRELS.items() for doc, grade in judged.items()]
    (folder / "qrels.txt").write_text("".join(grades))
    return ["--queries", str(folder / "queries.tsv"), "--qrels", str(folder / "qrels.txt")]


def evaluate(upstream: str, files: list[str], folder: Path, *words: str) -> int:
    flags = ["--index", INDEX, "--upstream", upstream, "--field", "text", "--model", "bundled"]
    return cli.main(["eval", *files, *flags, "--output", str(folder), *words])


def results(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text()))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_both_sides_are_measured_as_trec_eval_would(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(upstream, files, tmp_path) == 0
    shown = capsys.readouterr()
    assert "10 searches, 0 of them known from earlier runs" in shown.err
    assert "queries without judgments, not asked: 1" in shown.out
    assert "judged queries whose text is not given: 1" in shown.out
    found = results(tmp_path)
    assert [system["name"] for system in found["systems"]] == ["elasticsearch", "rescored"]
    assert found["systems"][1]["outcomes"] == {"reranked": 5}
    for system in found["systems"]:
        assert system["latency"]["count"] == 5
        run = tmp_path / f"{system['name']}.run"
        theirs = trec_eval(run)
        for query in QUERIES:
            assert system["values"]["nDCG@10"][query] == pytest.approx(theirs[query]["ndcg_cut_10"], abs=1e-6)
            assert system["values"]["RR@10"][query] == pytest.approx(theirs[query]["recip_rank"], abs=1e-6)
            assert system["values"]["P@5"][query] == pytest.approx(theirs[query]["P_5"], abs=1e-6)


def trec_eval(run: Path) -> dict[str, dict[str, float]]:
    """Measure a run file with trec_eval's own code."""
    scored: dict[str, dict[str, float]] = {}
    for line in ir_measures.read_trec_run(str(run)):  # type: ignore[no-untyped-call]  # untyped library
        scored.setdefault(line.query_id, {})[line.doc_id] = line.score
    judge = pytrec_eval.RelevanceEvaluator(QRELS, {"ndcg_cut_10", "recip_rank", "P_5"})
    return dict(judge.evaluate(scored))


def test_the_runs_are_what_elasticsearch_and_the_sidecar_answer(
    upstream: str, files: list[str], tmp_path: Path
) -> None:
    assert evaluate(upstream, files, tmp_path, "--depth", "4") == 0
    lines = [line.split() for line in (tmp_path / "elasticsearch.run").read_text().splitlines()]
    with Elasticsearch(upstream) as client:
        for query, text in QUERIES.items():
            hits = client.search(index=INDEX, query={"match": {"text": text}}, size=4)["hits"]["hits"]
            mine = [(line[2], float(line[4])) for line in lines if line[0] == query]
            assert sorted(mine) == sorted((hit["_id"], hit["_score"]) for hit in hits)
    rescored = (tmp_path / "rescored.run").read_text().splitlines()
    assert len(rescored) == len(lines)


def test_a_sweep_its_report_and_its_resumption(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--sweep",
        "window_size=2,5",
        "--sweep",
        "fusion=replace,rrf,linear:0.5",
        "--sweep",
        "fields=text,name+text",
    ]
    words += ["--latency-queries", "2"]
    assert evaluate(upstream, files, tmp_path, *words) == 0
    first = capsys.readouterr()
    # 5 queries of 12 points and the baseline, then 2 of 4 windows and fields, and the baseline.
    assert "75 searches, 0 of them known" in first.err
    before, journal = results(tmp_path), (tmp_path / "journal.jsonl").read_bytes()
    assert len(before["systems"]) == 13
    assert {system["latency"]["count"] for system in before["systems"]} == {2}
    check_report(tmp_path / "report.html")

    assert evaluate(upstream, files, tmp_path, *words) == 0
    assert "75 searches, 75 of them known" in capsys.readouterr().err
    assert (tmp_path / "journal.jsonl").read_bytes() == journal
    assert undated(results(tmp_path)) == undated(before)

    lines = journal.splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:40]) + lines[40][:30])  # killed in the middle
    assert evaluate(upstream, files, tmp_path, *words) == 0
    assert "75 searches, 40 of them known" in capsys.readouterr().err
    after = results(tmp_path)
    for old, new in zip(before["systems"], after["systems"], strict=True):
        assert new["values"] == old["values"]

    assert evaluate(upstream, files, tmp_path, "--depth", "7") == 0
    assert "the settings are not those of earlier runs in this folder: starting anew" in capsys.readouterr().err


def undated(found: dict[str, Any]) -> dict[str, Any]:
    """Return results less the minute in which they were written."""
    return {**found, "about": {name: told for name, told in found["about"].items() if name != "date"}}


def check_report(path: Path) -> None:
    text = path.read_text()
    assert text.count("<svg") == 3
    assert "http" not in text  # nothing is fetched, not even a schema's name
    assert not re.search(r"(src|href)=[\"'](?!#)|@import|url\((?!#)", text)
    for query in QUERIES.values():
        assert query in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {a or b for a, b in used} <= set(ids)


def test_a_body_of_ones_own_and_what_is_not_reranked(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"query": {"match": {"text": "{{query}}"}}, "sort": ["_doc"]}')
    assert evaluate(upstream, files, tmp_path, "--body", str(body), "--measure", "RR@10", "--measure", "AP") == 0
    assert "rescored: not reranked: 5 passed: sorted" in squeezed(capsys.readouterr().out)
    found = results(tmp_path)
    assert found["measures"] == ["RR@10", "AP"]
    assert found["systems"][1]["values"] == found["systems"][0]["values"]
    assert found["systems"][1]["against"]["RR@10"]["ties"] == 5


def test_a_deadline_is_measured_where_it_is_asked_for(upstream: str, files: list[str], tmp_path: Path) -> None:
    assert evaluate(upstream, files, tmp_path, "--timeout", "1ms") == 0
    outcomes = results(tmp_path)["systems"][1]["outcomes"]
    assert outcomes["failed: deadline"] >= 4
    assert set(outcomes) <= {"failed: deadline", "passed: circuit_open"}  # the breaker works as in production


def test_a_sample_and_several_queries_at_a_time(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(upstream, files, tmp_path, "--limit", "3", "--concurrency", "2", "--seed", "1") == 0
    assert "a sample of 3 of 5 judged queries (--seed 1)" in capsys.readouterr().out
    assert results(tmp_path)["queries"] == 3


def test_models_by_their_names_in_the_configuration(upstream: str, files: list[str], tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "tiny")
    config = tmp_path / "sidecar.yaml"
    config.write_text(
        f"""
        upstream: {{urls: [{upstream}]}}
        engine: {{model: bundled, models: {{small: {{model: {checkpoint}}}}}}}
        indices: {{'judged-*': {{fields: [text], model: small, mode: shadow, overrides: {{allow: []}}}}}}
        """
    )
    words = ["eval", *files, "--index", INDEX, "--config", str(config), "--output", str(tmp_path)]
    assert cli.main(words) == 0
    small = results(tmp_path)["systems"][1]
    assert cli.main([*words, "--sweep", "model=small,bundled"]) == 0
    systems = {system["name"]: system for system in results(tmp_path)["systems"]}
    assert systems["small"]["outcomes"] == systems["bundled"]["outcomes"] == {"reranked": 5}
    assert systems["small"]["values"] == small["values"]
    assert systems["bundled"]["values"] != small["values"]


def test_a_log_is_replayed_without_judgments(upstream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[dict[str, Any]] = [
        {"index": INDEX, "body": {"query": {"match": {"text": text}}}} for text in QUERIES.values()
    ]
    lines += [
        {"method": "GET", "path": f"/{INDEX}/_search?q=text:mail"},
        {"method": "POST", "path": f"/{INDEX}/_search", "body": {"size": 0}},
        {"index": "long-gone", "body": {}},
        {"method": "POST", "path": "/_bulk", "body": "{}"},
    ]
    log = tmp_path / "searches.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    words = ["eval", "--from-log", str(log), "--upstream", upstream, "--field", "text", "--model", "bundled"]
    words += ["--output", str(tmp_path)]
    assert cli.main(words) == 0
    shown = capsys.readouterr()
    assert "8 searches, 0 of them known" in shown.err
    told = results(tmp_path)["summary"]
    assert (told["searches"], told["others"], told["refused"], told["compared"]) == (8, 1, 1, 6)
    assert told["outcomes"] == {"reranked": 6, "passed: size_0": 1}
    assert 0 < told["overlap_at_10"] <= 1
    assert told["shift"] > 0
    assert told["direct"]["count"] == 7
    assert "reranked 6 (85.7%)" in squeezed(shown.out)
    assert "http" not in (tmp_path / "report.html").read_text()
    assert cli.main(words) == 0
    assert "8 searches, 8 of them known" in capsys.readouterr().err
    assert results(tmp_path)["summary"] == told


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--index", "absent"], 1, "has no 'absent': no such index [absent]"),
        (["--index", "judged-empty"], 1, "the index 'judged-empty' at"),
        (["--upstream", "http://127.0.0.1:1"], 4, "http://127.0.0.1:1 does not answer"),
        (["--measure", "foo@3"], 2, "unknown measure 'foo@3', expected one such as nDCG@10"),
        (["--sweep", "window=3"], 2, "--sweep window=3: expected AXIS=VALUE,VALUE with one of window_size"),
        (["--timeout", "soon"], 2, "--timeout soon: expected a time such as 500ms, 2s or 10m"),
        (["--queries", "absent.tsv"], 2, "absent.tsv: no such file or directory"),
        (["--body", "BODY"], 1, "refused the search (400): unknown query [mtach]"),
        (["--body", "NOTHING"], 1, "no query found a single hit: does the body search the right fields"),
        (["--qrels", "OTHER"], 2, "their ids differ, such as 'q1' and '1'"),
        (["--qrels", "BROKEN"], 2, "broken.txt:2: expected `query 0 document grade`"),
        (["--model", "/no/such/model"], 3, "'/no/such/model' is not a directory on this machine"),
    ],
)
def test_every_mistake_is_one_message(
    upstream: str,
    files: list[str],
    tmp_path: Path,
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {
        "BODY": ("body.json", '{"query": {"mtach": {"text": "{{query}}"}}}'),
        "NOTHING": ("nothing.json", '{"query": {"match": {"txt": "{{query}}"}}}'),
        "OTHER": ("other.txt", "1 0 zip 1\n"),
        "BROKEN": ("broken.txt", "1 0 zip 1\n1 zip\n"),
    }
    for name, text in given.values():
        (tmp_path / name).write_text(text)
    words = [str(tmp_path / given[word][0]) if word in given else word for word in words]
    with Elasticsearch(upstream) as client:
        client.indices.create(index="judged-empty")
        try:
            assert evaluate(upstream, files, tmp_path / "out", *words) == code
        finally:
            client.indices.delete(index="judged-empty")
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("sidecar: ")
    assert message in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--queries, --qrels, --index missing: give --queries, --qrels and --index, or --from-log"),
        (["--from-log", "LOG"], "nothing to rescore: give --config FILE with `indices`, or --field NAME"),
        (["--from-log", "LOG", "--field", "t"], "log.jsonl: no search in it"),
    ],
)
def test_what_is_missing(tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.jsonl").write_text("")
    words = [str(tmp_path / "log.jsonl") if word == "LOG" else word for word in words]
    assert cli.main(["eval", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_index_that_no_mapping_covers(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("indices: {other: {fields: [text]}}")
    assert cli.main(["eval", *files, "--index", INDEX, "--config", str(config)]) == 2
    assert f"no mapping for {INDEX!r} (no_mapping): give --field NAME" in capsys.readouterr().err


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else object())
    assert cli.main(["eval"]) == 3
    assert (
        "extra `eval` (scipy missing): pip install 'elasticsearch-rescoring-sidecar[eval]'" in capsys.readouterr().err
    )


def test_the_report_opens_with_a_verdict_and_says_what_ran(
    upstream: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(upstream, files, tmp_path, "--field", "name", "--backend", "torch") == 0
    found, report = results(tmp_path), (tmp_path / "report.html").read_text()
    assert re.match(r"rescored: (better|worse) by 0\.\d{3} nDCG@10, |rescored: no difference", found["verdict"])
    assert "of 5 queries got worse by more than 0.2." in found["verdict"]
    assert found["verdict"] in squeezed(capsys.readouterr().out)
    assert report.index("class='verdict'") < report.index("<table")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["about"]["date"])
    assert "the best of Elasticsearch's own (the others: " in found["about"]["search"]
    assert "backend torch" in found["about"]["engine"]
    assert found["about"]["mapping"] == "fusion linear 0.5, window 100, fields text, name"
    assert "bundled (" in found["about"]["model"]
    assert re.search(r"<span class='from'>\((\d+\. in|not in) (elasticsearch|rescored)\)</span>", report)
    assert "name='viewport'" in report


def test_only_judged_documents_are_ranked_where_that_is_asked_for(
    upstream: str, files: list[str], tmp_path: Path
) -> None:
    assert evaluate(upstream, files, tmp_path, "--judged-only") == 0
    for name in ("elasticsearch", "rescored"):
        lines = [line.split() for line in (tmp_path / f"{name}.run").read_text().splitlines()]
        for query in QUERIES:
            assert {line[2] for line in lines if line[0] == query} == set(QRELS[query])
    assert results(tmp_path)["about"]["documents"] == "judged ones only"


def test_a_body_may_name_the_query(upstream: str, files: list[str], tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    named = '{"query": {"bool": {"must": {"match": {"text": "{{query}}"}}, "_name": "{{query_id}}"}}}'
    body.write_text(named)
    assert evaluate(upstream, files, tmp_path, "--body", str(body)) == 0
    assert results(tmp_path)["systems"][1]["outcomes"] == {"reranked": 5}
