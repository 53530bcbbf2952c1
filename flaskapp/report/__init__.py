"""What was measured, in words: rows for a terminal, one page of HTML to hand on."""

from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import Row, figure_rows, fold_rows, group_rows, percent, setting_rows

__all__ = [
    "Row",
    "Section",
    "Table",
    "figure_rows",
    "fold_rows",
    "group_rows",
    "page",
    "percent",
    "picture",
    "setting_rows",
]
