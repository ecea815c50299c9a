"""Hits that Elasticsearch is sure of: which they are, and that they never sink."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.fusion import Fusion
from sidecar.rescoring.order import permuted, ranked
from sidecar.rescoring.sure import codes, holders, leading
from sidecar.rescoring.values import Hit

METHODS = [Fusion(), Fusion(method="rrf"), Fusion(method="linear", weight=0.5), Fusion(method="linear", weight=1.0)]


def order(query: str, texts: list[str], scores: list[float | None], logits: list[float], fusion: Fusion) -> list[int]:
    hits = [Hit(b"{}", text, score) for text, score in zip(texts, scores, strict=True)]
    return [place.position for place in permuted(hits, logits, fusion, query)]


@pytest.mark.parametrize("fusion", METHODS)
def test_a_document_with_the_accession_number_asked_for_stays_first(fusion: Fusion) -> None:
    texts = ["data under (GSE48213).", "data under GSE48214", "accession numbers of data", "data, GSE482131", "x", "y"]
    found = order("accession GSE48213", texts, [7.0, 6.9, 6.5, 6.0, 5.0, 4.0], [-9.0, 5.0, 4.0, 3.0, 2.0, 1.0], fusion)
    assert found[0] == 0
    off = fusion.model_copy(update={"keep_sure": False})
    assert order("accession GSE48213", texts, [7.0, 6.9, 6.5, 6.0, 5.0, 4.0], [-99.0, 5, 4, 3, 2, 1], off)[0] != 0


@pytest.mark.parametrize("fusion", METHODS)
def test_a_hit_whose_score_is_far_above_the_rest_stays_first(fusion: Fusion) -> None:
    assert order("xylophagous", ["a", "b", "c"], [16.0, 9.0, 8.0], [-5.0, 2.0, 3.0], fusion)[0] == 0


def test_codes_are_words_with_digits_that_are_no_short_numbers() -> None:
    assert codes("what is CVE-2024-3094, or (0x80070057)? top 10 of 2023 cve-2024-3094") == [
        "cve-2024-3094",
        "0x80070057",
        "2023",
    ]
    assert len(codes(" ".join(f"n{i}00" for i in range(1000)))) == 8


def test_what_many_hits_hold_makes_none_sure() -> None:
    assert holders(["2023"], ["films of 2023", "2023", "none"]) == frozenset()
    assert holders(["2023"], ["films of 2022", "2023"]) == {1}
    assert holders(["a1.b"], ["a1xb", "xa1.b", "(a1.b)"]) == {2}


def test_leading_scores() -> None:
    assert leading([16.0, 10.0, 9.9]) == {0}
    assert leading([16.0, 15.0, 9.0]) == {0, 1}
    assert leading([16.0, 15.0, 14.0]) == leading([]) == leading([3.0]) == leading([None, None]) == leading([1.0, 0.0])
    assert leading([1.0, 0.0]) == frozenset()


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(-100, 100), st.booleans()), max_size=40), st.sampled_from(METHODS)
)
def test_none_that_is_kept_sinks_and_nothing_is_lost(rows: list[tuple[float, float, bool]], fusion: Fusion) -> None:
    first: list[float | None] = sorted((score for score, _, _ in rows), reverse=True)  # type: ignore[assignment]
    kept = {i for i, (_, _, sure) in enumerate(rows) if sure}
    found = ranked(first, [logit for _, logit, _ in rows], fusion, kept)
    assert sorted(found.positions) == list(range(len(rows)))
    assert all(found.positions.index(i) <= i for i in kept)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    free = [i for i in ranked(first, [logit for _, logit, _ in rows], fusion).positions if i not in kept]
    assert [i for i in found.positions if i not in kept] == free
