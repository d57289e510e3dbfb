"""The report as HTML: one file that asks for nothing from anywhere, runs no script, and follows the reader's scheme."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from levit_mobile import __version__
from levit_mobile.bench.report.compare import Comparison
from levit_mobile.bench.report.entries import Material
from levit_mobile.bench.report.head import alarms, sentences, tiles, title
from levit_mobile.bench.report.reading import text
from levit_mobile.bench.report.sections import sections
from levit_mobile.bench.report.summary import sum_up

__all__ = ["page"]


def page(material: Material, comparison: Comparison | None = None) -> str:
    """The same results and versions give the same bytes; all that comes from results is escaped."""
    data = files("levit_mobile.bench.report").joinpath("data")
    sources = {name: data.joinpath(name).read_text("utf-8") for name in ("page.html", "page.css")}
    surroundings = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    summing = sum_up(material)
    return surroundings.get_template("page.html").render(
        css=Markup(sources["page.css"]),
        drawn=Markup,  # figures: matplotlib has escaped what is in them
        title=title(material),
        created=[told for about in material.abouts if (told := text(about.get("created")))],
        alarms=alarms(summing),
        runs=len(material.runs),
        tiles=tiles(summing),
        sentences=sentences(material, summing, comparison),
        sections=sections(material, comparison, figures=True),
        version=__version__,
    )
