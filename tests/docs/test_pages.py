"""Links and pictures lead somewhere, every page is in the site, and the text keeps its form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import GENERATED, PAGES, ROOT, SPAN, name_of, without_fences

LINK = re.compile(r"\]\(([^)\s]+)\)")
LONGEST = 120  # columns, but for tables


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_fences(path), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", text.replace("`", "")).strip().lower() for text in headings]
    return {re.sub(r"[\s]+", "-", text) for text in plain}


@pytest.mark.parametrize("path", [*PAGES, GENERATED], ids=name_of)
def test_links_and_pictures_exist(path: Path) -> None:
    for link in LINK.findall(without_fences(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), f"{name_of(path)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name_of(path)}: {link}"


def test_every_page_is_in_the_site_and_every_picture_on_a_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = (ROOT / "docs").glob("*.md")
    assert {page.name for page in pages} == set(re.findall(r": ([\w-]+\.md)$", navigation, re.M))
    shown = {Path(link).name for path in PAGES for link in LINK.findall(path.read_text("utf-8"))}
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} <= shown


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_lines_are_short_and_name_no_machine(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        assert line.startswith("|") or len(line) <= LONGEST, f"{name_of(path)}:{number}"
        assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", line), line


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_of_the_repository_that_are_named_exist(path: Path) -> None:
    ours = "cnnart|tests|tools|styles|docs|benchmarks|examples"
    modules = {file.name for file in (ROOT / "cnnart").rglob("*.py")}
    for span in SPAN.findall(without_fences(path)):
        if re.fullmatch(rf"({ours})/[\w./-]*", span) and not re.search("[A-Z]{2}|my_", span):
            assert (ROOT / span).exists(), span
        elif path.name == "design.md" and re.fullmatch(r"(\w+/)*\w+\.py", span):
            assert Path(span).name in modules, span


def test_the_readme_is_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 170


def test_a_broken_link_fails_make_docs() -> None:
    """--quiet keeps MkDocs from counting the warnings that --strict fails for."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (build,) = re.findall(r"mkdocs build (.*)", makefile)
    assert "--strict" in build
    assert not re.search(r"(^| )(-q|--quiet)( |$)", build)
