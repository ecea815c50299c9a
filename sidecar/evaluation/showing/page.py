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
.scroll { overflow-x: auto } svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; background: #f5f5f5; padding: .6rem }
ol { margin: 0; padding-left: 1.2rem } ol li { margin: 0 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page of these parts, which are HTML; the title is text."""
    head = f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
    body = "\n".join(parts)
    return f"{head}<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"


def table(header: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table; rows are (class, cells), cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr class='{name}'>{''.join(f'<td>{c}</td>' for c in cells)}</tr>" for name, cells in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
