"""The documentation: it builds without a warning, asks nothing of other machines, and what it says to type works."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lsi.cli import main
from lsi.cli.main import _parse

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# a fenced block, or what a reader has done at that place, as Python in a comment
BLOCK = re.compile(r"^(?:```(\w*)\n(.*?)^```$|<!-- here:[^\n]*\n(.*?)-->$)", re.MULTILINE | re.DOTALL)
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def snippets(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page, each with its language."""
    return [("python", block[3]) if block[3] else (block[1], block[2]) for block in BLOCK.finditer(text)]


def commands(text: str) -> list[str]:
    """Return every line of code, fenced or indented, that runs lsi, without its comment and its prompt."""
    fenced = [line for _, block in snippets(text) for line in block.splitlines()]
    indented = [line for line in BLOCK.sub("", text).splitlines() if line.startswith("    ")]
    found = [
        re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:python -m )?lsi (?P<words>[a-z].*)", line)
        for line in fenced + indented
    ]
    return [match["words"] for match in found if match]


@pytest.mark.parametrize("page", [p for p in PAGES if "```bash" in p.read_text("utf-8")], ids=name_of)
def test_what_a_page_says_to_type_works_in_its_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LSI_CACHE", raising=False)
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    text = page.read_text("utf-8")
    for language, block in snippets(text):
        if language == "python":
            exec(compile(block, page.name, "exec"), {"__name__": "snippet"})
        elif language == "bash":
            for line in filter(None, map(str.strip, block.splitlines())):
                words = shlex.split(line, comments=True)
                assert words[0] == "lsi", f"{page.name}: this test knows no {words[0]}"
                assert main(words[1:]) == 0, f"{page.name}: {line}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name_of)
def test_every_command_on_a_page_is_one(page):
    for line in commands(page.read_text("utf-8")):
        if "…" not in line:
            _parse(shlex.split(line, comments=True))


def test_pages_with_snippets_and_commands_are_found():
    assert sum("```bash" in p.read_text("utf-8") for p in PAGES) > 5
    assert sum(len(commands(p.read_text("utf-8"))) for p in PAGES) > 30


class Loads(HTMLParser):
    """The addresses that a browser asks for by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADED:
            self.found.append(given.get(LOADED[tag]) or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preconnect", "preload", "icon", "prefetch"):
            self.found.append(given.get("href") or "")


def test_the_site_builds_without_a_warning_and_asks_nothing_of_other_machines(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(PAGES)
    loads = Loads()
    for page in pages:
        loads.feed(page.read_text("utf-8"))
    assert loads.found
    assert [address for address in loads.found if re.match(r"(https?:)?//", address)] == []
    styles = "".join(p.read_text("utf-8") for p in (tmp_path / "site").rglob("*.css"))
    assert re.findall(r"(?:@import\s*|url\(\s*)[\"']?(?:https?:)?//[^)\"']*", styles) == []
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text("utf-8")
    assert "--corrupt-label" in commands
    library = (tmp_path / "site" / "reference" / "library.html").read_text("utf-8")
    for name in ("score", "explain", "open_run", "loo_probabilities", "prior_precision"):
        assert name in library
