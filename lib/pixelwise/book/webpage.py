"""Writes an executed notebook as one HTML file that needs no network to be read.

Pictures are embedded and formulas become MathML, which browsers set by themselves, so that the page
loads no script, font or style sheet from anywhere.
"""

import html
import re

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

# What latex2mathml does not know, and what says the same.
_SYNONYMS = [
    (re.compile(r"\\(begin|end)\{(?:aligned|gathered)\}"), r"\\\1{split}"),
    (re.compile(r"\\\\\[[^\]]*\]"), r"\\\\"),
    (re.compile(r"\\operatorname\*"), r"\\operatorname"),
]
_NOT_MATHML = re.compile(r"<mi>(?:\\[^<]*|&)</mi>")

_STYLE = """
.highlight { background: none; }
body { font: 17px/1.6 Georgia, serif; color: #222; max-width: 52em; margin: 2em auto;
  padding: 0 1em; }
h1, h2, h3 { font-family: Helvetica, Arial, sans-serif; line-height: 1.25; margin-top: 1.6em; }
nav { font: 14px Helvetica, Arial, sans-serif; display: flex; justify-content: space-between; }
a { color: #0060a8; } .anchor-link { visibility: hidden; } h2:hover .anchor-link { color: #bbb; }
pre { font: 13.5px/1.45 Menlo, Consolas, monospace; margin: 0; white-space: pre-wrap; }
code { font: 0.86em Menlo, Consolas, monospace; }
.prompt { display: none; }
.input_area, .rendered_html pre { background: #f6f7f9; border-left: 3px solid #9db7cf;
  padding: 0.6em 0.9em; margin: 0.9em 0 0; overflow-x: auto; }
.output_area { padding: 0.4em 0.9em; overflow-x: auto; }
.output_stderr, .output_error { background: #fdeeee; }
img { max-width: 100%; }
blockquote { border-left: 3px solid #ddd; margin-left: 0; padding-left: 1em; }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.92em; }
th, td { padding: 0.25em 0.8em; border-bottom: 1px solid #ddd; text-align: left; }
math { font-size: 1.05em; } math[display="block"] { margin: 1em 0; overflow-x: auto; }
mtd[columnalign="right"] { text-align: right; } mtd[columnalign="left"] { text-align: left; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav><span>{previous}</span><span>{following}</span></nav>
{body}
<nav><span>{previous}</span><span>{following}</span></nav>
</body>
</html>
"""


class FormulaError(ValueError):
    """A formula that cannot be turned into MathML."""


def page(notebook, title, folder, previous=None, following=None):
    """Returns the page of a notebook, as text.

    Args:
        notebook: an executed notebook.
        title: what the browser's window is called.
        folder: where the notebook's pictures are looked for.
        previous, following: identifiers of the chapters beside it, or None.
    """
    exporter = _Exporter(template_name="basic", embed_images=True)
    body, _ = exporter.from_notebook_node(
        notebook, resources={"metadata": {"path": str(folder), "name": title}}
    )
    return _PAGE.format(
        title=html.escape(title),
        style=HtmlFormatter(style="friendly").get_style_defs(".highlight") + _STYLE,
        body=_without_remote_pictures(_links_to_pages(body)),
        previous=f'<a href="{previous}.html">&larr; {previous}</a>' if previous else "",
        following=f'<a href="{following}.html">{following} &rarr;</a>' if following else "",
    )


def mathml(tex, display="inline"):
    """Returns a formula as MathML.

    Args:
        tex: the formula in LaTeX, without dollars.
        display: ``"inline"`` or ``"block"``.

    Raises:
        FormulaError: if it cannot be turned into MathML.
    """
    text = tex.strip()
    for pattern, replacement in _SYNONYMS:
        text = pattern.sub(replacement, text)
    try:
        markup = convert(text, display=display)
    except Exception as error:  # latex2mathml raises a dozen errors without a common parent
        raise FormulaError(f"The formula {tex!r} does not parse: {type(error).__name__}.") from None
    if unknown := _NOT_MATHML.search(markup):
        raise FormulaError(f"The formula {tex!r} has a part with no MathML: {unknown.group()}.")
    return markup


def formulas(markdown):
    """Returns the formulas of a markdown text, as pairs (LaTeX, "inline" or "block")."""
    collector = _Renderer(escape=False)
    MarkdownWithMath(renderer=collector).render(markdown)
    return collector.seen


class _Renderer(IPythonRenderer):
    """Renders markdown with MathML for the formulas."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def inline_math(self, body):
        return self._formula(body, "inline")

    def block_math(self, body):
        return self._formula(body, "block")

    def latex_environment(self, name, body):
        return self._formula(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    def _formula(self, tex, display):
        self.seen.append((tex, display))
        try:
            return mathml(tex, display)
        except FormulaError:  # the reader still gets the formula, as it was written
            return f"<code>{html.escape(tex)}</code>"


class _Exporter(HTMLExporter):
    """Exports with the renderer above."""

    @pass_context
    def markdown2html(self, context, source):
        """Returns markdown as HTML."""
        renderer = _Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=self.embed_images,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def _without_remote_pictures(body):
    """Returns a page with words in place of the pictures to be fetched, such as a badge."""
    return re.sub(r'<img\b[^>]*\bsrc="https?:[^>]*>', _alternative, body)


def _alternative(match):
    """Returns the alternative text of a picture."""
    found = re.search(r'\balt="([^"]*)"', match.group())
    return found[1] if found else ""


def _links_to_pages(body):
    """Returns a page whose links to chapters lead to their pages, and to solutions to notebooks."""
    body = re.sub(r'href="(?:\./)?(\d\d_\w+)\.ipynb', r'href="\1.html', body)
    return re.sub(r'href="(?:\./)?(solutions|source)/', r'href="../chapters/\1/', body)
