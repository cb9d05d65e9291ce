"""Builds the package with the app beside it: app.py, pages and .streamlit, which stand at the top of the tree."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithApp(build_py):
    """Copies what `lsi app` serves into the package."""

    def run(self) -> None:
        """Build as usual, without what an earlier build left there, then copy."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        served = Path(self.build_lib) / "lsi" / "ui" / "served"
        for name in ("app.py", "pages", ".streamlit"):
            source, target = Path(__file__).parent / name, served / name
            if source.is_dir():
                shutil.copytree(
                    source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "secrets.toml")
                )
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithApp})
