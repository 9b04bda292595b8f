"""``cnnart styles``: the pictures cnnart brings to paint in the style of."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def styles() -> None:
    """List, show and check the built-in styles.

    Use one by its name: cnnart stylize PHOTO --style stained-glass
    """


@styles.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(as_json: bool) -> None:
    """Show every built-in style: name and what it looks like."""
    from cnnart.styles import builtin_styles

    found = builtin_styles().values()
    if as_json:
        import json

        rows = [
            {
                "name": style.name,
                "title": style.title,
                "description": style.description,
                "path": str(style.path),
                "settings": style.settings,
            }
            for style in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("style", "what it looks like", box=None, pad_edge=False)
    for style in found:
        table.add_row(style.name, style.description)
    Console().print(table)


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
    from cnnart.image import output_format, to_picture, write_image
    from cnnart.styles import builtin_styles, contact_sheet, find_style

    output_format(output)
    photos = [Path(name) for name in names if Path(name).is_file()]
    if photos:
        from cnnart.fast.sheet import style_sheet

        chosen_names = [name for name in names if not Path(name).is_file()]
        write_image(output, style_sheet(photos, chosen_names))
    else:
        chosen = [find_style(name) for name in names] or list(builtin_styles().values())
        write_image(output, to_picture(contact_sheet(chosen)).rgb)
    click.echo(str(output))


@styles.command()
def check() -> None:
    """Test every style picture: present, unchanged, whole, 1024x1024 RGB."""
    from cnnart.errors import CnnartError
    from cnnart.styles import builtin_styles, defect

    found = builtin_styles()
    defects = [text for text in map(defect, found.values()) if text]
    for text in defects:
        click.echo(text, err=True)
    if defects:
        raise CnnartError(
            f"{len(defects)} of {len(found)} built-in styles are damaged; install cnnart again."
        )
    click.echo(f"All {len(found)} built-in styles are present and unchanged.")
