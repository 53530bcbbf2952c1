"""The commands as whoever types them meets them."""

import pytest
from click.testing import CliRunner

from research.__main__ import main


@pytest.mark.parametrize("name", sorted(main.commands))
def test_help_shows_no_marks_of_its_formatting(name):
    told = CliRunner().invoke(main, [name, "--help"])
    assert (told.exit_code, "\\b" in told.output, "\b" in told.output) == (0, False, False)
