"""What was measured, in words: rows for a terminal, one page of HTML to hand on."""

from flaskapp.report.page import Picture, Section, Table, as_text, page, picture
from flaskapp.report.rows import figure_rows

__all__ = ["Picture", "Section", "Table", "as_text", "figure_rows", "page", "picture"]
