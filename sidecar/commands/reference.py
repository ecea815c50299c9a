"""What is generated from the configuration's values: the JSON schema, and the tables of the documentation.

``python -m sidecar.commands.reference`` writes them into the repository; tests check that they are current.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import Secret, SecretStr
from pydantic.fields import FieldInfo

from sidecar.config.model import Config
from sidecar.config.section import Section
from sidecar.reasons import Reason
from sidecar.scoring.models.catalog import markdown

PAGES = ("docs/configuration.md", "docs/operations.md", "docs/models.md")
_ANNOTATED_NAMES = {float: "time", int: "size"}


def schema_text() -> str:
    """Return the JSON schema of configuration files, as `configs/schema.json` holds it."""
    return json.dumps(_with_short_forms(Config.model_json_schema()), indent=2) + "\n"


def _with_short_forms(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow a bare name where the model takes one (its `_short` validators), which pydantic cannot see."""
    sections = schema["$defs"]
    fields = sections["IndexMapping"]["properties"]["fields"]
    sections["IndexMapping"]["properties"]["fields"] = {
        "description": fields.pop("description"),
        "anyOf": [fields.pop("items"), {**fields, "items": {"$ref": "#/$defs/FieldSpec"}}],
    }
    for name, text in (
        ("Listener", {"type": ["string", "integer"]}),
        ("AdminListener", {"type": ["string", "integer"]}),
        ("FieldSpec", {"type": "string"}),
        ("Fusion", sections["Fusion"]["properties"]["method"]),
    ):
        whole = sections[name]
        short = {key: value for key, value in text.items() if key in ("type", "enum")}
        sections[name] = {"description": whole.pop("description"), "anyOf": [short, whole]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def keys(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key with its dotted path; `NAME` is a key that the user chooses, `[]` a list entry."""
    for name, field in section.model_fields.items():
        path = prefix + name
        yield path, field
        inner, step = _below(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{path}{step}.")


def _below(annotation: Any) -> tuple[type[Section] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    step = {dict: ".NAME", tuple: "[]"}.get(get_origin(annotation), "")
    for part in get_args(annotation):
        inner, below = _below(part)
        if inner is not None:
            return inner, step + below
    return None, ""


def tables() -> str:
    """Return the documentation's tables: one for each top-level section, and one for the plain keys."""
    rows: dict[str, list[str]] = {}
    for path, field in keys():
        head = path.partition(".")[0] if _below(Config.model_fields[path.partition(".")[0]].annotation)[0] else ""
        rows.setdefault(head, []).append(_row(path, field))
    return "\n".join(_table(head, lines) for head, lines in rows.items())


def _table(head: str, lines: list[str]) -> str:
    title = f"### `{head}`" if head else "### Other keys"
    return "\n".join([title, "", "| key | type | default | meaning |", "|---|---|---|---|", *lines, ""])


def _row(path: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{path}` | {_kind(field.annotation, field.metadata)} | {_default(field)} | {meaning} |"


def _kind(annotation: Any, metadata: list[Any]) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if any(type(each).__name__ == "WithJsonSchema" for each in metadata):
        return _ANNOTATED_NAMES[annotation]
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in args)
    if origin in (Union, types.UnionType):
        return _kind(next(each for each in args if each is not type(None)), metadata)
    if origin is tuple:
        return f"list of {_kind(args[0], [])}"
    if hasattr(annotation, "__metadata__"):
        return _kind(args[0], list(annotation.__metadata__))
    if isinstance(annotation, type) and issubclass(annotation, Secret | SecretStr):
        return "text"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "mapping" if not hasattr(annotation, "_short") else "text or mapping")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "unset"
    if isinstance(value, Section) or value in ({}, ()):
        return ""
    return f"`{json.dumps(value, default=str)}`"


def reason_table() -> str:
    """Return the documentation's table of reasons why a search is not rescored."""
    rows = [f"| `{reason}` | {reason.description.replace('|', chr(92) + '|')} |" for reason in sorted(Reason)]
    return "\n".join(["| reason | meaning |", "|---|---|", *rows, ""])


def updated(document: str) -> str:
    """Return a Markdown document with its generated parts made current."""
    for mark, part in (("keys", tables), ("reasons", reason_table), ("models", markdown)):
        document = replaced(document, mark, part())
    return document


def replaced(document: str, mark: str, part: str) -> str:
    """Return a Markdown document with the part between the comments of this mark replaced."""
    begin, end = f"<!-- generated: {mark} -->", f"<!-- /generated: {mark} -->"
    text = f"{begin}\n\n{part}\n{end}"
    return re.sub(f"{begin}.*{end}", lambda _: text, document, flags=re.DOTALL)


def main(root: Path) -> None:
    """Write the schema and the tables into a checkout."""
    (root / "configs/schema.json").write_text(schema_text(), "utf-8")
    for name in PAGES:
        page = root / name
        page.write_text(updated(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(Path.cwd())
