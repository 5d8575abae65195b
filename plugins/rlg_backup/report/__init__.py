"""Drill reports: pure records to HTML for people and JSON for machines."""

from .document import to_json
from .page import render_html
from .records import DrilledSource, DrillReport

__all__ = ["DrillReport", "DrilledSource", "render_html", "to_json"]
