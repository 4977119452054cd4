"""What a browser does for whoever reads: shows a page, and prints it.

Partner: `publishing.py`, which writes the pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import webbrowser
from pathlib import Path

from warehouse import errors

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A minute on a busy machine; a page prints in two seconds.
PRINT_S = 120


def show(path: Path) -> None:
    """Open a file in the browser of whoever asked.

    Raises:
        ConfigError: there is no browser here that opens it.
    """
    if not webbrowser.open(path.as_uri()):
        raise errors.ConfigError(
            f"{path} is written, but no browser was found to open it. Open it by hand, or name a browser in the"
            " variable BROWSER."
        )


def print_pdf(page: Path) -> Path:
    """The path of a page as Chromium prints it, beside the page.

    Raises:
        ConfigError: there is no Chromium here that prints.
    """
    path = page.with_suffix(".pdf")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise errors.ConfigError(
            f"{page} cannot be printed: none of {', '.join(BROWSERS)} is on the path. Install Chromium, or print the"
            " page from a browser."
        )
    # The page's own policy lets it fetch nothing; root has no sandbox to give.
    flags = [
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--no-pdf-header-footer",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    with tempfile.TemporaryDirectory(prefix="daybook-print-") as profile:
        command = [program, *flags, f"--user-data-dir={profile}", f"--print-to-pdf={path}", page.as_uri()]
        path.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_S, check=False)
    if not path.exists():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise errors.ConfigError(f"{page} was not printed by {program}: {last}. Print the page from a browser.")
    return path
