"""``cnnart completion``: the shell finishes commands, options and their values."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import ShellComplete, get_completion_class

from cnnart.cli.lines import say

SHELLS = ("bash", "zsh", "fish")
MARK = "cnnart completion"  # a start-up file with this in it has been seen to
VARIABLE = "_CNNART_COMPLETE"  # what Click looks for, and takes over where it is set

# Click's scripts offer nothing where cnnart has nothing to offer; files are to be offered there.
# zsh: compdef is there only where compinit has run.
LOADED = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
LOOP = "    for type key descr in"
FILES_TOO = {
    "bash": [("complete -o nosort -F", "complete -o nosort -o bashdefault -o default -F")],
    "zsh": [
        (LOOP, f"    (( $#response )) || {{ _files; return }}\n\n{LOOP}"),
        ("#compdef cnnart\n", f"#compdef cnnart\n\n{LOADED}\n"),
    ],
    "fish": [("complete --no-files --command", "complete --command")],
}


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar="|".join(SHELLS))
@click.option("--install", is_flag=True, help="Have every new shell use it.")
@click.pass_context
def completion(ctx: click.Context, shell: str, install: bool) -> None:
    """Print the script with which a shell completes commands, options and values.

    \b
    cnnart completion bash --install
    eval "$(cnnart completion zsh)"      # for this shell alone
    """
    script = script_of(shell, ctx.find_root().command)
    if not install:
        click.echo(script)
        return
    path = startup_file(shell)
    if install_into(path, shell, script):
        say(f"Added to {path}: it works in every new {shell}.")
    else:
        say(f"{path} has it already: nothing was changed.")


def script_of(shell: str, command: click.Command) -> str:
    """Click's script for a shell, with files where cnnart has nothing to offer."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = ShellComplete.source(kind(command, {}, "cnnart", VARIABLE))
    for before, after in FILES_TOO[shell]:
        script = script.replace(before, after)
    return script


def startup_file(shell: str) -> Path:
    """The file in which a shell looks for what is to hold in every new one."""
    home = Path.home()
    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
        return config / "fish" / "completions" / "cnnart.fish"
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    return home / ".bashrc"


def install_into(path: Path, shell: str, script: str) -> bool:
    """Add what is needed to a shell's file; False if it is there. Raises OSError.

    fish has a file for each program, which is read when it is needed, and gets the script. The
    others get a line that asks cnnart for it, so that it never is an old one. What else stands in
    their file stays, and a link stays a link.
    """
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    if shell == "fish":
        wanted = f"# {MARK} fish\n{script}"
        if before == wanted:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
        return True
    if MARK in before:
        return False
    line = f'command -v cnnart >/dev/null && eval "$(cnnart completion {shell})"\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(("" if before.endswith("\n") or not before else "\n") + line)
    return True
