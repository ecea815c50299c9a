"""What is generated from the configuration's values is current, and the shipped files are valid."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from sidecar.commands.reference import PAGES, keys, schema_text, updated
from sidecar.config.loader import load, loads

ROOT = Path(__file__).parents[2]
AGAIN = "run scripts/generate-schema"
SHIPPED = ["configs/demo.yaml", "configs/production.example.yaml"]


def test_the_schema_is_current() -> None:
    assert (ROOT / "configs/schema.json").read_text("utf-8") == schema_text(), AGAIN


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_tables_are_current(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    assert page == updated(page), AGAIN
    assert "<!-- /generated: " in page


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    for path, field in keys():
        assert f"| `{path}` |" in page
        assert field.description, f"{path} has no description"


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_load_and_fit_the_schema(name: str) -> None:
    assert load(ROOT / name, {}).indices
    data = yaml.safe_load((ROOT / name).read_text("utf-8").replace("${SIDECAR_PORT:-9201}", "9201"))
    jsonschema.validate(data, json.loads(schema_text()))


@pytest.mark.parametrize(
    "text",
    [
        "indices: {a: {fields: [x, {name: y, label: L}], fusion: rrf}}",
        "indices: {a: {fields: [x], fusion: {method: linear}, timeout: 2s}}",
        "max_search_body: 1gb",
    ],
)
def test_the_schema_takes_short_forms_and_units(text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), json.loads(schema_text()))
    loads(text, {})


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"indices": {"a": {"fields": [["x"]]}}}, json.loads(schema_text()))


@pytest.mark.parametrize("name", ["docs/configuration.md", "README.md"])
def test_yaml_in_the_documentation_loads(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    blocks = page.split("```yaml\n")[1:]
    assert blocks
    for block in blocks:
        loads(block.split("```")[0], {})
