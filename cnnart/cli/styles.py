"""``cnnart styles``: what cnnart brings to paint in the style of."""

from __future__ import annotations

from pathlib import Path

import click

from cnnart.cli.lines import say, say_path
from cnnart.cli.table import add_row, echo_table
from cnnart.files import is_file


@click.group()
def styles() -> None:
    """List, show and check the built-in styles.

    Use one by its name: cnnart stylize PHOTO --style stained-glass, or, where a network was trained
    for it, in milliseconds: cnnart fast-stylize PHOTO --style stained-glass
    """


@styles.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(as_json: bool) -> None:
    """Show every built-in style: name, what it looks like, and which commands know it."""
    from cnnart.builtin_styles import builtin_networks, builtin_styles

    found = builtin_styles()
    trained = {
        name: said for network in builtin_networks() for name, said in network.styles.items()
    }
    if as_json:
        import json

        rows = [
            {
                "name": style.name,
                "title": style.title,
                "description": style.description,
                "path": str(style.path),
                "settings": style.settings,
                "trained": style.name in trained,
            }
            for style in found.values()
        ]
        rows += [
            {"name": name, "description": said, "trained": True}
            for name, said in trained.items()
            if name not in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table("style", "what it looks like", "stylize", "fast", box=None, pad_edge=False)
    for name in dict.fromkeys([*found, *trained]):
        said = found[name].description if name in found else trained[name]
        add_row(table, name, said, "yes" * (name in found), "yes" * (name in trained))
    echo_table(table)


@styles.command()
@click.argument("names", metavar="[PHOTO | NAME]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("styles.png"),
    show_default=True,
    help="The sheet to write: .png, .jpg, .webp or .tif.",
)
def show(names: tuple[str, ...], output: Path) -> None:
    """Write a sheet and print its path: what styles look like, or a photo in each.

    Without a PHOTO: the pictures of the styles NAME, or of all. With one: it in the trained styles
    NAME, or in all.
    """
    from cnnart.builtin_styles import builtin_styles, contact_sheet, find_style
    from cnnart.image.read import to_picture
    from cnnart.image.write import output_format, write_image

    output_format(output)
    photos = [Path(name) for name in names if is_file(Path(name))]
    if photos:
        from cnnart.commands.fast_stylize import style_sheet

        chosen_names = [name for name in names if not is_file(Path(name))]
        write_image(output, style_sheet(photos, chosen_names))
    else:
        chosen = [find_style(name) for name in names] or list(builtin_styles().values())
        write_image(output, to_picture(contact_sheet(chosen)).rgb)
    say_path(output)


@styles.command()
def check() -> None:
    """Test every style: pictures present, unchanged, whole, 1024x1024 RGB; networks unchanged."""
    from cnnart.builtin_styles import builtin_networks, builtin_styles, defect, network_defect
    from cnnart.errors import CnnartError

    found, networks = builtin_styles(), builtin_networks()
    defects = [text for text in map(defect, found.values()) if text]
    defects += [text for n in networks if (text := network_defect(n.path, n.sha256))]
    for text in defects:
        say(text, err=True)
    if defects:
        raise CnnartError(
            f"{len(defects)} of {len(found) + len(networks)} built-in files are damaged; "
            "install cnnart again."
        )
    say(
        f"All {len(found)} built-in styles and {len(networks)} trained network(s) are present "
        "and unchanged."
    )
