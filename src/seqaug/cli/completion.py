"""seqaug completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .terminal import Output, common

__all__ = ["completion"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
@click.pass_context
def completion(ctx: click.Context, output: Output, shell: str) -> None:
    """Print the script that teaches SHELL to complete verbs, flags, recipes, plugins and data sets.

    \b
    bash: eval "$(seqaug completion bash)"           in ~/.bashrc
    zsh:  eval "$(seqaug completion zsh)"            in ~/.zshrc
    fish: seqaug completion fish | source            in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(ctx.find_root().command, {}, "seqaug", "_SEQAUG_COMPLETE").source()
    if not output.document({"shell": shell, "script": script}):
        click.echo(script)
