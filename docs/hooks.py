"""What the documentation takes from elsewhere in the tree: the help of the commands, and the files of `deploy`."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    """Offer the files of `deploy` beside the pages that name them."""
    for path in sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file()):
        files.append(File.generated(config, f"deploy/{path.name}.txt", content=path.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the help of every command in its place, and point at the copies of the files of `deploy`."""
    markdown = re.sub(r"\]\(\.\./deploy/([\w.]+)\)", r"](deploy/\1.txt)", markdown)
    return markdown.replace("{{ commands }}", _commands()) if "{{ commands }}" in markdown else markdown


def _commands() -> str:
    found = re.search(r"\{([a-z,]+)\}", _help())
    assert found, "the help names no commands"
    names = sorted(found.group(1).split(","))
    return "\n".join(f"## lsi {name}\n\n```text\n{_help(name)}\n```\n" for name in names)


def _help(*words: str) -> str:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "lsi", *words, "--help"]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=True)
    return found.stdout.strip()
