"""The short version of `scripts/faults`: what clients and operators see, not how soon; and the table of the docs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hardening.faults.__main__ import inject
from hardening.faults.asking import PROBES, Answer
from hardening.faults.catalog import FAULTS, table
from hardening.faults.laws import Truth, of_answer, of_metrics, of_story, of_time
from hardening.faults.node import Seen

from tests.checkpoints import make_checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_LONG = re.compile(
    r"SIGSTOP|swallows|never|stops in|shorter|late$|the model (is slow|has failed)|loading|hangs|tokenizer is slow|"
    r"disk|reader|one of two nodes (refuses|answers)|both|pipe"
)
"""Faults that take seconds each, or a process of their own; some of their kind are among the rest."""
_SIGNALS = ("SIGTERM while searches run", "a second SIGTERM while the model hangs", "SIGHUP while the model is loaded")


def _short() -> list[str]:
    return [f.name for f in FAULTS if (f.group != "signals" and not _LONG.search(f.name)) or f.name in _SIGNALS]


async def test_no_fault_costs_a_hit_or_an_answer_and_header_metric_and_log_tell_one_story(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    chosen = [fault for fault in FAULTS if fault.name in _short()]
    verdicts = await inject(elasticsearch_url, str(make_checkpoint(tmp_path)), chosen, timeout=2.0)
    assert len(verdicts) >= 45
    assert {name: each.broken for name, each in verdicts.items() if each.broken} == {}


def test_the_table_of_the_documentation_lists_every_fault() -> None:
    assert len(FAULTS) >= 100
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert table() in PAGE.read_text("utf-8"), "run `scripts/faults --write-docs`"


TRUTH = Truth({"page": b'{"took":1,"hits":[1,2]}'}, {"page": b'{"took":1,"hits":[2,1]}'})


def _answer(body: bytes = b"", status: int = 200, told: str = "", *, whole: bool = True) -> Answer:
    headers = {"x-rescore": told} if told else {}
    return Answer(PROBES["page"], "page-1", 1.0, status, headers, body, whole)


@pytest.mark.parametrize(
    ("answer", "seen", "refused", "wrong"),
    [
        (_answer(b'{"took":9,"hits":[1,2]}', told="failed; reason=deadline"), [], (), False),
        (_answer(b'{"took":9,"hits":[2,1]}', told="reranked; window=2"), [], (), False),
        (_answer(b'{"took":9,"hits":[1,2]}', told="reranked; window=2"), [], (), True),
        (_answer(b'{"took":9,"hits":[2,1]}', told="failed; reason=deadline"), [], (), True),
        (_answer(b'{"took":9,"hits":[1,1]}', told="failed; reason=deadline"), [], (), True),
        (_answer(b'{"took":9,"hits":[1]}', told="failed; reason=deadline"), [], (), True),
        (_answer(b'{"took":9,"hits":[1,2]}'), [], (), True),
        (_answer(b'{"error":1}', 502), [], (502,), False),
        (_answer(b"oops", 502), [], (502,), True),
        (_answer(b'{"error":1}', 502), [], (), True),
        (_answer(b'{"error":1}', 503), [Seen(statuses={503})], (), False),
        (_answer(b'{"error":1}', 503), [Seen(statuses={429})], (), True),
        (_answer(b"{", whole=False), [], (), True),
    ],
)
def test_answers_are_judged(answer: Answer, seen: Sequence[Seen], refused: Sequence[int], wrong: bool) -> None:
    assert bool(of_answer(answer, TRUTH, seen, refused, cut=False)) == wrong


def test_what_comes_late_is_noticed() -> None:
    assert of_time(_answer(), deadline=0.5, node=0.45) < 0
    assert of_time(_answer(), deadline=0.5, node=0.3) > 0


def test_stories_that_differ_are_noticed() -> None:
    line = {"logger": "sidecar.search", "opaque_id": "page-1", "outcome": "failed", "reason": "deadline"}
    told = _answer(told="failed; reason=deadline")
    assert of_story([told], [line]) == []
    assert of_story([told], [])
    assert of_story([told], [line, line])
    assert of_story([told], [line | {"reason": "model_error"}])
    sample = 'sidecar_searches_total{endpoint="search",mapping="i",outcome="failed",reason="deadline"}'
    assert of_metrics({sample: 1.0}, {sample: 2.0}, [line]) == []
    assert of_metrics({sample: 2.0}, {sample: 2.0}, [line])
    assert of_metrics({sample: 0.0}, {sample: 2.0}, [line])
