"""The house rules that a reader relies on: where imports may point, where a library lives, how long a piece may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("flows", "warehouse", "models", "reports")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))

SOURCES = "warehouse.sources"
# What each room may import of ours, itself included. `warehouse` means everything in it but its sources.
ALLOWED = {
    "flows": ("flows", "reports", "models", "warehouse", SOURCES),
    "reports": ("reports", "warehouse"),
    "models": ("models",),
    "warehouse": ("warehouse",),
    SOURCES: (SOURCES, "warehouse.contracts", "warehouse.tables", "warehouse.errors"),
}

# Home of each third-party library, as prefixes of module names; a library not named here may be used anywhere.
HOMES = {
    "prefect": ("flows",),
    "prometheus_client": ("flows",),
    "packaging": ("flows",),
    "httpx": ("flows.showing",),
    "cronsim": ("flows",),
    "dask": ("flows.scale_out",),
    "distributed": ("flows.scale_out",),
    "typer": ("flows",),
    "rich": ("flows",),
    "pydantic": ("flows",),
    "pydantic_settings": ("flows",),
    "duckdb": ("warehouse",),
    "filelock": ("warehouse",),
    "exchange_calendars": ("warehouse",),
    "numba": ("warehouse",),
    "psycopg": ("warehouse",),
    "requests": (SOURCES,),
    "urllib3": (SOURCES,),
    "pandas_datareader": (SOURCES,),
    "tushare": (SOURCES,),
    "starlette": (SOURCES + ".simulator", "flows"),
    "uvicorn": (SOURCES + ".simulator", "flows"),
    "sklearn": ("models",),
    "threadpoolctl": ("models",),
    "scipy": ("models",),
    "statsmodels": (),
    "tensorflow": ("models.mlp",),
    "keras": ("models.mlp",),
    "jinja2": ("reports",),
    "apprise": ("reports",),
    "resvg_py": ("reports",),
}
# Where a library with a home may also be, and why.
NOT_AT_HOME: dict[tuple[str, str], str] = {}

CLIENTS = ("fred", "tushare", "http", "limits", "archive")

FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "core", "manager"}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 5

CLOCK_READS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "dt.datetime.now",
    "dt.date.today",
    "time.time",
    "time.time_ns",
    "pd.Timestamp.now",
    "pandas.Timestamp.now",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str:
    return SOURCES if is_under(name, SOURCES) else name.split(".")[0]


def is_under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Every name imported, as far as it may be a module: `from warehouse import lake` gives `warehouse.lake`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield full if is_module(full := f"{node.module}.{alias.name}") else node.module


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def every_module(function: object) -> object:
    return pytest.mark.parametrize("path", MODULES, ids=[module_name(path) for path in MODULES])(function)


def may_import(importer: str, target: str) -> bool:
    allowed = ALLOWED[room_of(importer)]
    if is_under(target, SOURCES):
        return SOURCES in allowed
    # `import warehouse` alone says nothing about which part; the part's own import is judged.
    return target == "warehouse" or any(is_under(target, prefix) for prefix in allowed)


@every_module
def test_imports_point_down(path: Path) -> None:
    importer = module_name(path)

    ours = [target for target in imported(path) if target.split(".")[0] in ROOMS]

    wrong = [target for target in ours if not may_import(importer, target)]
    assert not wrong, f"{importer} imports {wrong}; {room_of(importer)} may import {ALLOWED[room_of(importer)]}"


@pytest.mark.parametrize(
    ("importer", "target", "is_fine"),
    [
        ("flows.cli", "warehouse.sources.fred", True),
        ("flows.cli", "models.pca", True),
        ("reports.pages", "warehouse.lake", True),
        ("reports.pages", "models.pca", False),
        ("reports.pages", "warehouse.sources.fred", False),
        ("models.pca", "warehouse.errors", False),
        ("warehouse.load", "warehouse.sources.fred", False),
        ("warehouse.load", "flows.clock", False),
        ("warehouse.load", "models.pca", False),
        ("warehouse.sources.fred", "warehouse.tables.macro", True),
        ("warehouse.sources.fred", "warehouse.lake", False),
    ],
)
def test_the_arrows_are_those_of_the_drawing(importer: str, target: str, is_fine: bool) -> None:
    assert may_import(importer, target) is is_fine


def test_picture_in_the_docs_has_the_rooms_and_the_arrows_of_the_code() -> None:
    """Allowed and drawn are the same, and each arrow is one that some module needs."""
    picture = ElementTree.parse(ROOT / "docs" / "house.svg").getroot()
    drawn = {(each.get("data-from"), each.get("data-to")) for each in picture.iter() if each.get("data-from")}
    rooms = {each.get("data-room") for each in picture.iter() if each.get("data-room")}

    allowed = {
        (room, room_of(target)) for room, targets in ALLOWED.items() for target in targets if room_of(target) != room
    }
    found = {(room_of(module_name(path)), target) for path in MODULES for target in imported(path)}
    used = {(room, room_of(target)) for room, target in found if target.split(".")[0] in ROOMS}
    assert rooms == set(ALLOWED) == {*ROOMS, SOURCES}
    assert drawn == allowed == {(one, other) for one, other in used if one != other}


@every_module
def test_libraries_stay_at_home(path: Path) -> None:
    importer = module_name(path)

    found = {target.split(".")[0] for target in imported(path)} & set(HOMES)

    # A home is a prefix of the name: `simulator` is home to `simulator_tushare` too.
    wrong = {
        library: HOMES[library]
        for library in found
        if not importer.startswith(HOMES[library]) and (library, importer) not in NOT_AT_HOME
    }
    assert not wrong, f"{importer} imports libraries whose home is elsewhere: {wrong}"


@every_module
def test_simulator_and_clients_do_not_know_each_other(path: Path) -> None:
    """The simulator writes the wire format independently; shared code would share its mistakes."""
    importer = module_name(path)
    clients = [f"{SOURCES}.{name}" for name in CLIENTS]
    targets = list(imported(path))

    if importer.startswith(f"{SOURCES}.simulator"):
        assert not [t for t in targets if any(t.startswith(client) for client in clients)]
    if any(importer.startswith(client) for client in clients):
        assert not [t for t in targets if t.startswith((f"{SOURCES}.simulator", f"{SOURCES}.truth"))]


@every_module
def test_imports_are_absolute(path: Path) -> None:
    relative = [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.level]

    assert not relative, f"relative imports on lines {relative}"


@every_module
def test_sizes_stay_within_limits(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())

    assert n_lines <= MAX_MODULE_LINES, f"{n_lines} lines; split by noun"
    for function in functions(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        n_positional = len(function.args.posonlyargs) + len(function.args.args)
        is_method = bool(function.args.args) and function.args.args[0].arg in ("self", "cls")
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"
        assert n_positional - is_method <= MAX_POSITIONAL, f"{function.name} takes {n_positional} positional arguments"


@every_module
def test_module_name_says_the_domain(path: Path) -> None:
    assert not set(module_name(path).split(".")) & FORBIDDEN_NAMES


@every_module
def test_modules_and_public_names_have_docstrings(path: Path) -> None:
    tree = tree_of(path)
    assert ast.get_docstring(tree), "a module says which question it answers"
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    public = [
        node
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]

    missing = [node.name for node in public if not ast.get_docstring(node)]

    assert not missing


@every_module
def test_no_clock_is_read_below_flows(path: Path) -> None:
    if room_of(module_name(path)) == "flows":
        return

    reads = [
        f"{dotted(node)} on line {node.lineno}"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and dotted(node) in CLOCK_READS
    ]

    assert not reads, "instants come in as arguments"


@every_module
def test_no_print_and_no_blind_except(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and dotted(node.func) == "print":
            assert module_name(path).startswith(("flows.cli", "flows.commands.")), f"print on line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            caught = dotted(node.type) if node.type else "everything"
            reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            is_blind = caught in ("everything", "Exception") or (caught == "BaseException" and not reraises)
            assert not is_blind, f"line {node.lineno} catches {caught}"


@every_module
def test_no_pickle(path: Path) -> None:
    """A pickle runs what it holds when it is loaded."""
    assert not {target.split(".")[0] for target in imported(path)} & {"pickle", "joblib", "dill", "cloudpickle"}


def test_help_needs_neither_prefect_nor_tensorflow() -> None:
    heavy = "{'prefect', 'tensorflow', 'keras', 'matplotlib', 'dask', 'distributed'}"
    script = f"import sys, flows.cli; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_warehouse_and_models_load_without_the_heavy_libraries() -> None:
    names = [
        module_name(path)
        for path in MODULES
        if room_of(module_name(path)) in ("warehouse", "models") and "simulator" not in path.name
    ]
    heavy = "{'prefect', 'tensorflow', 'keras', 'matplotlib', 'requests', 'tushare', 'pandas_datareader'}"
    script = (
        f"import importlib, sys; [importlib.import_module(n) for n in {names}];"
        f" print(sorted({heavy} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "path",
    [*MODULES, *sorted((ROOT / "warehouse").rglob("*.sql"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_window_is_without_a_partition_and_an_order(path: Path) -> None:
    """DuckDB 1.5.5 now and then fails on `over ()` and invalidates the database (duckdb#25713)."""
    assert not re.search(r"\bover\s*\(\s*\)", path.read_text("utf-8"))


def test_every_statement_has_a_header() -> None:
    for path in sorted((ROOT / "warehouse" / "sql").rglob("*.sql")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("-- "), f"{path.relative_to(ROOT)} starts without saying its grain"
