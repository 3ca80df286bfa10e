"""Turn a Python program into C source for an executable that is one static file.

    python3.11 -I freeze.py --path DIR ... --name NAME MAIN_MODULE > program.c

It must run under the very CPython whose static library the result is linked with: marshalled code
belongs to one interpreter version. The modules are those that importing the program's package
really loads, found by importing it. Output depends on nothing but the sources, so the same inputs
give the same bytes.
"""

import argparse
import importlib
import importlib.util
import marshal
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import CodeType

# What the interpreter itself imports for its text streams (UTF-8 mode), where there is a traceback.
_ALWAYS = ("encodings", "encodings.aliases", "encodings.utf_8")
# What the interpreter does after its core is nearly half of a start: importing from files, codecs
# and text streams, which no program here uses. Frozen and built-in modules are imported and UTF-8
# is converted without it. `_init_main` is provisional: build_test.py tries it.
_C_MAIN = """
/* A traceback needs sys.stderr. */
static int print_error(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyStatus status = _Py_InitializeMain();
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    PyErr_Restore(type, value, traceback);
    PyErr_Print();
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        return puts("@NAME@ @VERSION@") < 0 || fflush(stdout) != 0;
    }
    PyConfig config;
    PyPreConfig pre;
    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&pre);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    PyImport_FrozenModules = modules;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.module_search_paths_set = 1; /* and empty: nothing is read from the host */
    config.program_name = L"@NAME@";
    config.executable = L"@NAME@";
    config.base_executable = L"";
    config.prefix = L""; config.base_prefix = L"";
    config.exec_prefix = L""; config.base_exec_prefix = L"";
    config._init_main = 0; /* the core alone */
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status)) Py_ExitStatusException(status);
    return PyImport_ImportFrozenModule("__main__") == 1 ? 0 : print_error();
}
"""


# Run in an interpreter of its own, which has loaded nothing yet.
_DISCOVER = """
import sys
paths, names = sys.argv[1].split(":"), sys.argv[2].split(":")
sys.path[:0] = paths
sys.dont_write_bytecode = True
before = set(sys.modules)
for name in names:
    __import__(name)
print(":".join(sorted(set(sys.modules) - before)))
"""


def own_modules(package: str) -> list[str]:
    """Return the modules of a program's package, those that are imported late among them."""
    directories = importlib.import_module(package).__path__
    found = (f"{package}.{each.name}" for each in pkgutil.iter_modules(directories))
    return [name for name in found if not name.endswith((".__main__", "_test"))]


def loaded_modules(paths: list[str], names: list[str]) -> list[str]:
    """Return every module that importing ``names`` loads from a file, packages included, sorted."""
    command = [sys.executable, "-I", "-S", "-c", _DISCOVER, ":".join(paths), ":".join(names)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {*output.strip().split(":"), *_ALWAYS}
    return sorted(name for name in found if _source(name) is not None)


def _source(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    path = Path(str(spec.origin))
    # Extension modules that are not in the static library (_json, ...) are accelerators whose
    # importers do without them; the tests of the executables would fail on one that is needed.
    return path if path.suffix == ".py" else None


def compile_module(name: str, path: Path) -> CodeType:
    """Return the code object, with a name instead of a path in it, without docstrings."""
    return compile(path.read_bytes(), f"<frozen {name}>", "exec", dont_inherit=True, optimize=2)


def version_of(main_module: str) -> str:
    """Return what a program answers to --version: its source root's package says it."""
    package, _, _ = main_module.partition(".")
    return str(importlib.import_module(f"{package}.version").VERSION)


def c_array(label: str, data: bytes) -> str:
    """Return a C array of bytes."""
    lines = [",".join(map(str, data[i : i + 32])) for i in range(0, len(data), 32)]
    return f"static const unsigned char {label}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def main() -> None:
    """Print the C source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", action="append", default=[], help="a source root")
    parser.add_argument("--name", required=True, help="the program's name")
    parser.add_argument("main_module", help="such as package.__main__")
    arguments = parser.parse_args()
    sys.path[:0] = arguments.path
    sys.dont_write_bytecode = True
    package, _, _ = arguments.main_module.rpartition(".")
    names = loaded_modules(arguments.path, own_modules(package))
    main_path = _source(arguments.main_module)
    if main_path is None:
        message = f"no such module: {arguments.main_module}"
        raise SystemExit(message)
    codes = [(name, _source(name)) for name in names]
    rows, parts = [], ["#include <Python.h>\n#include <string.h>\n"]
    for number, (name, path) in enumerate(codes):
        if path is None:
            continue
        data = marshal.dumps(compile_module(name, path))
        is_package = int(path.name == "__init__.py")
        parts.append(c_array(f"m{number}", data))
        rows.append(f'    {{"{name}", m{number}, sizeof m{number}, {is_package}, NULL}},')
    parts.append(c_array("m_main", marshal.dumps(compile_module("__main__", main_path))))
    rows.append('    {"__main__", m_main, sizeof m_main, 0, NULL},')
    rows.append("    {NULL, NULL, 0, 0, NULL},")
    parts.append("static const struct _frozen modules[] = {\n" + "\n".join(rows) + "\n};\n")
    version = version_of(arguments.main_module)
    parts.append(_C_MAIN.replace("@NAME@", arguments.name).replace("@VERSION@", version))
    sys.stdout.write("".join(parts))


if __name__ == "__main__":
    main()
