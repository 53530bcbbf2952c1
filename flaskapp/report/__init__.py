"""What was measured, in words: rows for a terminal, one page of HTML to hand on."""

from flaskapp.report.page import Picture, Section, Table, as_text, page, picture
from flaskapp.report.rows import (
    GROUP_HEAD,
    VERDICT_HEAD,
    Row,
    figure_rows,
    fold_rows,
    group_rows,
    interval_text,
    percent,
    setting_rows,
    value_text,
    verdict_rows,
)

__all__ = [
    "GROUP_HEAD",
    "VERDICT_HEAD",
    "Picture",
    "Row",
    "Section",
    "Table",
    "as_text",
    "figure_rows",
    "fold_rows",
    "group_rows",
    "interval_text",
    "page",
    "percent",
    "picture",
    "setting_rows",
    "value_text",
    "verdict_rows",
]
