"""What an evaluation leaves in its folder: `results.json`, TREC run files, `report.html`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sidecar.evaluation.asking.systems import slug
from sidecar.evaluation.evaluate import Evaluation
from sidecar.evaluation.measuring import results
from sidecar.evaluation.showing import report
from sidecar.evaluation.showing.verdict import verdict


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write all files and give them."""
    files = [folder / "report.html", folder / "results.json"]
    files[0].write_text(report.html(evaluation), "utf-8")
    files[1].write_text(json.dumps(as_json(evaluation), indent=2) + "\n", "utf-8")
    for name, answers in evaluation.answers.items():
        files.append(folder / f"{slug(name)}.run")
        files[-1].write_text(results.trec_run(answers, evaluation.ties, slug(name)), "utf-8")
    return files


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return the results with the settings they were measured under."""
    experiment = evaluation.experiment
    return {
        "verdict": verdict(evaluation),
        "about": dict(evaluation.about),
        "index": experiment.index,
        "body": experiment.body,
        "queries": len(evaluation.answers[evaluation.baseline.name]),
        "depth": experiment.depth,
        "concurrency": experiment.concurrency,
        "ties": evaluation.ties,
        "measures": list(evaluation.measures),
        "systems": [results.as_json(system) for system in evaluation.systems],
    }
