"""A browser, where there is one, for the pages that inspections end in."""

import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        system = next(filter(None, map(shutil.which, BROWSERS)), None)
        tries = [{}, *([{"executable_path": system}] if system else [])]
        for options in tries:
            try:
                found = playwright.chromium.launch(args=["--no-sandbox"], **options)
            except api.Error:
                continue
            yield found
            found.close()
            return
        pytest.skip("no browser here")
