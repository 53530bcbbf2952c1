"""What was measured, in words: rows for a terminal, one page of HTML to hand on."""

from flaskapp.report.page import Section, Table, page, picture
from flaskapp.report.rows import (
    BESIDE_HEAD,
    Row,
    beside_rows,
    figure_rows,
    fold_rows,
    group_rows,
    percent,
    setting_rows,
)

__all__ = [
    "BESIDE_HEAD",
    "Row",
    "Section",
    "Table",
    "beside_rows",
    "figure_rows",
    "fold_rows",
    "group_rows",
    "page",
    "percent",
    "picture",
    "setting_rows",
]
