"""Nothing that comes from outside is ever run: no eval, no pickle, no loader that makes objects, no shell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "node"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The site's own functions are code that the site's administrator names in the configuration: imported, as any module.
# Processes of the node's own talk through pipes that nobody else can reach: those that clean files by pickle, as they
# are forks of one another; the decoders of pixels, whose libraries read foreign bytes, by bytes alone.
# The libraries of pydicom/deid's data are found by name, where `node.deid` is asked for them.
MEANT = {
    ("recipe/site_functions.py", "exec"),
    ("recipe/site_functions.py", "compile"),
    ("recipe/site_functions.py", "importlib.util"),
    ("deid/data.py", "importlib"),
    ("standard/tables.py", "importlib.resources"),
    ("cli/tools.py", "importlib.metadata"),
    ("support/bundle.py", "importlib.metadata"),
    ("files/pool.py", "multiprocessing"),
    ("files/pool.py", "multiprocessing.connection"),
    ("pixels/decoding.py", "multiprocessing.connection"),
    ("pixels/helper.py", "multiprocessing.connection"),
}
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}
IMPORTS = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "dbm", "imp", "importlib",
    "runpy", "code", "codeop", "pty", "multiprocessing", "xmlrpc", "jsonpickle", "telnetlib", "ftplib",
}  # fmt: skip
YAML = {
    "load",
    "load_all",
    "unsafe_load",
    "unsafe_load_all",
    "full_load",
    "full_load_all",
    "UnsafeLoader",
    "FullLoader",
}
STRICT = {"StrictLoader"}
SHELLS = {"system", "popen", "spawnlp", "spawnvp", "getoutput", "getstatusoutput"}
MEMBERS = {"yaml": YAML, "os": SHELLS, "subprocess": SHELLS}


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def forbidden(source: str) -> set[str]:
    """What a module does that runs, or could run, what it was given."""
    tree = ast.parse(source)
    found = {name for name in imported(tree) if name.split(".")[0] in IMPORTS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found |= _of_call(node)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            found |= {f"{owner}.{node.attr}"} if node.attr in MEMBERS.get(owner, ()) else set()
    return found


def _of_call(call: ast.Call) -> set[str]:
    found = set()
    if isinstance(call.func, ast.Name) and call.func.id in CALLS:
        found.add(call.func.id)
    for keyword in call.keywords:
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            found.add("shell")
        if keyword.arg == "allow_pickle":
            found.add("allow_pickle")
    if isinstance(call.func, ast.Attribute) and call.func.attr == "load" and isinstance(call.func.value, ast.Name):
        # numpy reads pickles where it is let.
        found |= {"numpy.load"} if call.func.value.id in {"np", "numpy"} else set()
    return found


def test_no_module_runs_what_comes_from_outside() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), what)
        for path in MODULES
        for what in forbidden(path.read_text(encoding="utf-8"))
    }
    assert found == MEANT, "each exception is named, and none is named that is gone"


@pytest.mark.parametrize("name", ["pixels/decoding.py", "pixels/helper.py"])
def test_what_a_decoder_of_pixels_answers_is_never_unpickled(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    called = {
        one.func.attr for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    }
    assert called >= {"send_bytes", "recv_bytes"}
    assert not called & {"send", "recv"}


@pytest.mark.slow
def test_yaml_is_read_by_the_strict_loader_alone() -> None:
    loaders = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if "yaml" in {name.split(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
    }
    assert loaders == {"config/yaml12.py"}
    tree = ast.parse((PACKAGE / "config/yaml12.py").read_text(encoding="utf-8"))
    (strict,) = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name in STRICT]
    assert [ast.unparse(base) for base in strict.bases] == ["yaml.SafeLoader"]


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from pickle import loads",
        "import os, marshal",
        "import shelve as s",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.FullLoader)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=wanted)",
        "os.system(line)",
        "os.popen(line)",
        "np.load(file)",
        "f(x, allow_pickle=True)",
        "def f():\n    from multiprocessing import connection",
        "__import__(name)",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert forbidden(source)


@pytest.mark.parametrize(
    "source", ["re.compile(x)", "json.load(f)", "subprocess.run(line)", "yaml.compose(t)", "load(x)"]
)
def test_what_is_not_is_let_be(source: str) -> None:
    assert not forbidden(source)
