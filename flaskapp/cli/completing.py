"""The command that teaches a shell to complete the others: completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "facial-recognition"
SHELLS = "bash", "zsh", "fish"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes the Tab key complete commands and options.

    For the open terminal as below; a line in ~/.bashrc or ~/.zshrc serves all to come.

    \b
    Examples:
      source <(facial-recognition completion bash)
      source <(facial-recognition completion zsh)
      facial-recognition completion fish | source
    """
    of_shell = get_completion_class(shell)
    if of_shell is None:  # never: click knows the three
        raise click.UsageError(f"{shell} is not known to click.")
    variable = f"_{PROGRAM.replace('-', '_').upper()}_COMPLETE"
    click.echo(of_shell(context.find_root().command, {}, PROGRAM, variable).source())
