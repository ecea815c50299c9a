"""The frame of HTML reports: one page with its style, and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top }
th:first-child, td:first-child, td.text { text-align: left }
tr.best { font-weight: 600 } .gain, .grade { color: #2a7f3f } .loss { color: #b3372f } .grade { font-weight: 600 }
.scroll { overflow-x: auto; max-width: 100% }
.verdict { font-size: 1.15rem } td.side { width: 38% }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dt { color: #666 }
dd { margin: 0; overflow-wrap: anywhere } td.text, li { overflow-wrap: anywhere }
.from { color: #666 } svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .6rem }
ol { margin: 0; padding-left: 1.2rem } ol li { margin: 0 }
@media (max-width: 40rem) {
  body { margin: 1rem auto } dl { grid-template-columns: 1fr } table.sides, .sides tbody, .sides tr { display: block }
  .sides thead { display: none } .sides td, td.side { display: block; width: auto; border: 0 }
  .sides tr { border-bottom: 1px solid #ddd }
}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page of these parts, which are HTML; the title is text."""
    metas = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head = f"<!doctype html>\n<html lang='en'><head>{metas}<title>{escape(title)}</title>"
    body = "\n".join(parts)
    return f"{head}<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"


def facts(known: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and what they are; both are text."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>' for name, fact in known)}</dl>"


def table(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], kind: str = "") -> str:
    """Return a table of a kind (its class); rows are (class, cells), cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr class='{name}'>{''.join(f'<td>{c}</td>' for c in cells)}</tr>" for name, cells in rows)
    whole = f"<table class='{kind}'><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f"<div class='scroll'>{whole}</div>"
