"""The text of an HTML document, in time that grows with its length whatever is in it."""

from __future__ import annotations

import re
from html import unescape

LONGEST_TAG = 10_000  # characters; what looks like a longer one is text
_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
_BLOCKS = frozenset(
    [
        "p", "div", "section", "article", "li", "ul", "ol", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "br", "header",
        "footer", "main", "blockquote", "pre", "dt", "dd", "figure", "body",
    ]
)  # fmt: skip
_UNSEEN = frozenset(["script", "style", "noscript", "template", "svg", "title"])


def text_of(html: str) -> str:
    """Blocks stand apart by an empty line, headings begin with their number of `#`."""
    parts: list[str] = []
    lower = html.lower()
    at, end = 0, len(html)
    while at < end:
        start = html.find("<", at)
        if start < 0:
            start = end
        if start > at:
            parts.append(re.sub(r"\s+", " ", unescape(html[at:start])))
        if start == end:
            break
        if html.startswith("<!--", start):
            close = html.find("-->", start + 4)
            at = end if close < 0 else close + 3
            continue
        close = html.find(">", start, start + LONGEST_TAG)
        name = _NAME.match(html, start + 1)
        if close < 0 or (name is None and html[start + 1 : start + 2] not in ("!", "?")):
            parts.append("<")
            at = start + 1
            continue
        at = close + 1
        if name is None:
            continue
        tag = name[1].lower()
        is_opening = not name.group().startswith("/")
        if tag in _UNSEEN and is_opening:
            hidden = lower.find(f"</{tag}", at)
            at = end if hidden < 0 else hidden
        elif tag in _BLOCKS:
            parts.append("\n\n")
            if is_opening and re.fullmatch(r"h[1-6]", tag):
                parts.append("#" * int(tag[1]) + " ")
    return re.sub(r"[ \t]*\n[ \t]*(?:\n[ \t]*)+", "\n\n", "".join(parts)).strip()
