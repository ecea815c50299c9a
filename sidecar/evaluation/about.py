"""What a report says of itself: when, what ran, in which versions and settings."""

from __future__ import annotations

import datetime
from importlib.metadata import PackageNotFoundError, version

from sidecar.config.fusion import told
from sidecar.evaluation.asking.experiment import Experiment, named_model
from sidecar.scoring.models.files import find


def about(experiment: Experiment, elasticsearch: str) -> dict[str, str]:
    """Return the facts by name."""
    models = dict.fromkeys(system.model for system in experiment.systems)
    engine, first = experiment.config.engine, experiment.systems[0]
    settings = f"backend {engine.backend}, dtype {engine.dtype}, max_length {engine.max_length}"
    facts = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "index": experiment.index,
        "search": experiment.chosen or "the one below",
        "documents": "judged ones only" if experiment.only is not None else "all",
        "model": ", ".join(_model(experiment, name) for name in models),
        "engine": settings,
        "versions": f"sidecar {_version('elasticsearch-rescoring-sidecar')}, Elasticsearch {elasticsearch}",
    }
    if not experiment.swept:
        fields = ", ".join(first.fields)
        facts["mapping"] = f"fusion {told(first.fusion)}, window {first.window_size}, fields {fields}"
    return facts


def _model(experiment: Experiment, name: str) -> str:
    model = named_model(experiment.config, name)
    return f"{name} ({find(model.model, model.revision).revision})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
