"""What was measured, in words: rows for a terminal, one page of HTML to hand on."""

from flaskapp.report.page import Picture, Section, Table, as_text, face, page, picture
from flaskapp.report.rows import figure_rows

__all__ = ["Picture", "Section", "Table", "as_text", "face", "figure_rows", "page", "picture"]
