"""What `scripts/audit` makes of pip-audit's reports: these are made up, since advisories change from day to day."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hardening.audit import verdict

SOUND = {"name": "yarl", "version": "1.2", "vulns": []}
SKIPPED = {"name": "zstandard", "skip_reason": "not found"}
VULNERABLE = {
    "name": "aiohttp",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1", "4.0"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([SOUND, SOUND], 0, ["audit: 2 of 2 dependencies looked up, 0 vulnerable"]),
        (
            [SOUND, SKIPPED, VULNERABLE],
            1,
            [
                "audit: aiohttp 3.0: PYSEC-1, mended in 3.1, 4.0",
                "audit: aiohttp 3.0: PYSEC-2, mended in no version",
                "audit: not looked up: zstandard: not found",
                "audit: 2 of 3 dependencies looked up, 1 vulnerable",
            ],
        ),
        ([SKIPPED, SKIPPED], 0, ["audit: the advisories cannot be reached: nothing was looked up"]),
    ],
)
def test_verdicts(dependencies: list[Any], code: int, said: list[str]) -> None:
    assert verdict(json.dumps({"dependencies": dependencies, "fixes": []})) == (code, said)


@pytest.mark.parametrize("report", ["", "Traceback", "{}"])
def test_without_a_report_work_goes_on(report: str) -> None:
    assert verdict(report) == (0, ["audit: the advisories cannot be reached: nothing was looked up"])
