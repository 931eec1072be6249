"""A document as one HTML file: nothing is fetched, nothing runs. Pure.

Every text is escaped; the file forbids itself scripts and requests, so that even a fault here could
not call anybody. The same rules set Arabic from the right and English from the left.
"""

from collections.abc import Iterator
from html import escape

from services.tools.reports.document import (
    Block,
    Chart,
    Document,
    Figures,
    Heading,
    Paragraph,
    Quote,
    Table,
)

_STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1.25rem 4rem;color:#1f2933;background:#fff;
font:15px/1.6 "IBM Plex Sans Arabic","Noto Sans Arabic","Segoe UI",Tahoma,sans-serif}
h1{font-size:1.1rem;font-weight:400;margin:0;color:#52606d}
.name{font-size:1.8rem;font-weight:700;margin:0 0 .25rem;line-height:1.35;overflow-wrap:anywhere}
.lines{margin:0 0 1.25rem;color:#52606d}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-bottom:.25rem;border-bottom:2px solid #1f2933;
break-after:avoid}
.banner{position:sticky;top:0;margin:0 0 1.25rem;padding:.6rem 1rem;font-weight:700;color:#fff;
background:#b23b00;text-align:center}
.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:0 0 1rem;padding:0}
.figures div{flex:1 1 9rem;padding:.7rem .9rem;background:#f3f5f7;border-radius:6px}
.figures dd{margin:0}
.figures .value{font-size:1.5rem;font-weight:700;line-height:1.4}
.figures .note{font-size:.85rem;color:#52606d}
.figures dt{font-size:.95rem}
p{margin:.5rem 0}
p.note{font-size:.87rem;color:#52606d;overflow-wrap:anywhere}
p.good,p.bad{padding:.6rem .9rem;border-radius:6px;border-inline-start:5px solid}
p.good{background:#e8f5f0;border-color:#009e73}
p.bad{background:#fdece5;border-color:#b23b00;font-weight:700}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{padding:.35rem .6rem;text-align:start;vertical-align:top;border-bottom:1px solid #d9dee3;
overflow-wrap:break-word}
th{font-weight:700;border-bottom-color:#52606d}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td strong{color:#b23b00}
.mark{position:fixed;inset:0;display:flex;align-items:center;justify-content:center;z-index:-1;
overflow:hidden;color:#fbeae2;font-size:min(20vw,11rem);font-weight:700;line-height:1.2;
text-align:center;transform:rotate(-30deg)}
tr.minor td{color:#52606d;font-size:.9rem}
tr.minor td:first-child{padding-inline-start:1.8rem}
tr.total td{font-weight:700;border-top:2px solid #1f2933;border-bottom:0}
figure{margin:.75rem 0}
svg{width:100%;height:auto;display:block}
blockquote{margin:.5rem 0 .9rem;padding:.6rem .9rem;background:#f3f5f7;border-radius:6px;
white-space:pre-wrap;overflow-wrap:anywhere}
.of{margin:.6rem 0 0;font-size:.9rem;color:#52606d}
@media print{body{padding:0;max-width:none}h2.fresh{break-before:page}
.banner{position:static}tr,figure{break-inside:avoid}}
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html(document: Document) -> str:
    """The file."""
    name = escape(document.name)
    banner = [f'<p class="banner">{escape(document.banner)}</p>'] if document.banner else []
    mark = (
        [f'<div class="mark" aria-hidden="true">{escape(document.mark)}</div>']
        if document.mark
        else []
    )
    lines = "<br>".join(escape(line) for line in document.lines)
    body = [part for block in document.blocks for part in _block(block)]
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(document.language)}" dir="{document.direction}">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escape(document.title)}: {name}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *mark,
            *banner,
            "<header>",
            f"<h1>{escape(document.title)}</h1>",
            f'<p class="name"><bdi>{name}</bdi></p>',
            f'<p class="lines">{lines}</p>',
            "</header>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            kind = ' class="fresh"' if block.fresh else ""
            yield f"<h2{kind}>{escape(block.text)}</h2>"
        case Paragraph():
            yield f'<p class="{block.tone}">{escape(block.text)}</p>'
        case Figures():
            yield '<dl class="figures">'
            for one in block.items:
                yield (
                    f"<div><dt>{escape(one.label)}</dt>"
                    f'<dd class="value">{escape(one.value)}</dd>'
                    f'<dd class="note">{escape(one.note)}</dd></div>'
                )
            yield "</dl>"
        case Table():
            yield from _table(block)
        case Chart():
            yield f"<figure>{block.svg}</figure>"
        case Quote():
            yield f'<p class="of">{escape(block.title)}</p>'
            yield (
                f'<blockquote lang="{escape(block.language)}" dir="{block.direction}">'
                f"{escape(block.text)}</blockquote>"
            )


def _table(table: Table) -> Iterator[str]:
    kinds = [' class="number"' if column.number else "" for column in table.columns]
    yield '<div class="wide"><table>'
    if any(column.title for column in table.columns):
        heads = "".join(
            f'<th scope="col"{kind}>{escape(column.title)}</th>'
            for column, kind in zip(table.columns, kinds, strict=True)
        )
        yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for number, row in enumerate(table.rows):
        last = table.total and number == len(table.rows) - 1
        mark = ' class="total"' if last else ' class="minor"' if number in table.minor else ""
        cells = "".join(
            f"<td{kind}>{_cell(cell, (number, at) in table.marked)}</td>"
            for at, (cell, kind) in enumerate(zip(row, kinds, strict=True))
        )
        yield f"<tr{mark}>{cells}</tr>"
    yield "</tbody></table></div>"


def _cell(text: str, marked: bool) -> str:
    return f"<strong>{escape(text)}</strong>" if marked else escape(text)
