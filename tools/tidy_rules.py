"""The habits of `STYLE.md` as rules: each looks at one file and says what is wrong, `path:line: what`.

`tests/test_tidy.py` runs them over the repository and proves on bad snippets that each can fail.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PARAMETERS_MAX = 5
NESTING_MAX = 3
MEDIAN_FUNCTION_LINES_MAX = 8


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


LAYERS = {
    name: height
    for height, names in enumerate(
        [
            ["base", "version"],
            ["consensus", "queries"],
            ["protocol"],
            ["ports", "addresses", "onnx_session", "torrent_session"],
            ["transports", "engines", "embedders", "stores", "content"],
            ["daemon", "simulator", "signalling"],
            ["client"],
            ["batch"],
            ["gateway"],
            ["cli"],
            ["__init__"],
        ]
    )
    for name in names
}
"""A file imports its own package and lower layers. Packages of one layer never import each other."""
PURE = ("src/dicast/base/", "src/dicast/consensus/", "src/dicast/protocol/", "src/dicast/queries/")
"""Below the purity line: no clock, no waiting, no I/O, no randomness of their own."""
IMPURE_MODULES = words("""
    asyncio anyio time datetime random secrets uuid os io sys socket select ssl threading
    multiprocessing concurrent subprocess signal tempfile shutil pathlib glob logging structlog sqlite3
    urllib http httpx websockets rich importlib pkgutil platform locale gc weakref unicodedata
""")
IMPURE_CALLS = words("""
    open print input eval exec hash id globals vars breakpoint
""")
PURE_EXCEPTIONS = {("src/dicast/base/frozen.py", "importlib"), ("src/dicast/base/nip49.py", "unicodedata")}
"""The one reader of package data; NIP-49 asks for NFKC, which no verdict depends on."""
MOVING_METHODS = words("""
    isalpha isdigit isdecimal isnumeric isalnum isupper islower istitle isspace isprintable isidentifier
    casefold swapcase title capitalize
""")
"""`str` methods whose answer depends on the Unicode version of the Python that runs them."""
VAGUE_WORDS = words("""
    manager helper helpers util utils processor data info misc
""")
NAMES_OF_OTHERS = {"info", "data_received"}
"""A level of logs, and what asyncio calls."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Rule = Callable[["Source"], Iterator[str]]


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root of the repository, and what it says."""

    path: str
    text: str
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", ast.parse(self.text))

    @property
    def is_ours(self) -> bool:
        """Whether it is part of the package."""
        return self.path.startswith("src/")

    @property
    def is_pure(self) -> bool:
        """Whether it lies below the purity line."""
        return self.path.startswith(PURE)

    def at(self, node: ast.stmt | ast.expr | ast.excepthandler, what: str) -> str:
        """A complaint about one place."""
        return f"{self.path}:{node.lineno}: {what}"

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))


def read_sources(root: Path) -> list[Source]:
    """Every Python file that is ours to keep tidy."""
    paths = sorted(
        path for part in ("src", "tests", "tools", "benchmarks") for path in (root / part).rglob("*.py")
    )
    return [Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def file_length(source: Source) -> Iterator[str]:
    """A file has at most 400 lines."""
    count = len(source.text.splitlines())
    if count > FILE_LINES_MAX:
        yield f"{source.path}:1: {count} lines, at most {FILE_LINES_MAX}"


def function_length(source: Source) -> Iterator[str]:
    """A function has at most 50 lines."""
    for function in source.functions():
        if lines_of(function) > FUNCTION_LINES_MAX:
            yield source.at(
                function, f"{function.name} has {lines_of(function)} lines, at most {FUNCTION_LINES_MAX}"
            )


def parameter_count(source: Source) -> Iterator[str]:
    """A function takes at most 5 parameters besides self; a test may ask for as many fixtures."""
    for function in source.functions():
        arguments = function.args
        every = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        named = [one.arg for one in every if one is not None and one.arg not in {"self", "cls"}]
        if len(named) > PARAMETERS_MAX and not source.path.startswith("tests/"):
            yield source.at(
                function, f"{function.name} takes {len(named)} parameters, at most {PARAMETERS_MAX}"
            )


def nesting(source: Source) -> Iterator[str]:
    """Blocks nest at most 3 deep inside a function; `elif` is not deeper than its `if`."""
    for function in source.functions():
        deepest = max((depth_of(statement, 1) for statement in function.body), default=0)
        if deepest > NESTING_MAX:
            yield source.at(function, f"{function.name} nests {deepest} deep, at most {NESTING_MAX}")


def depth_of(node: ast.AST, depth: int) -> int:
    """How deep blocks nest in a node, were it a block of depth `depth` itself."""
    if isinstance(node, Function | ast.ClassDef | ast.Lambda):
        return 0
    if isinstance(
        node, ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match
    ):
        chained = node.orelse if isinstance(node, ast.If) and len(node.orelse) == 1 else []
        level = [child for child in chained if isinstance(child, ast.If)]
        deeper = [child for child in ast.iter_child_nodes(node) if child not in level]
        below = [depth_of(child, depth + 1) for child in deeper] + [depth_of(child, depth) for child in level]
        return max([depth, *below])
    return max((depth_of(child, depth) for child in ast.iter_child_nodes(node)), default=0)


def layering(source: Source) -> Iterator[str]:
    """Imports point down; adapters never import each other."""
    if not source.path.startswith("src/dicast/"):
        return
    own = package_of(source.path)
    for node, module in imports(source):
        target = layer_of(module.split(".")[1]) if module.startswith("dicast.") else own
        if target != own and LAYERS.get(target, 99) >= LAYERS.get(own, -1):
            yield source.at(node, f"{own} may not import {module}")


def purity(source: Source) -> Iterator[str]:
    """Below the purity line: no modules that wait, read or draw, no `async`, no `global`, no I/O calls."""
    if not source.is_pure:
        return
    for node, module in imports(source):
        if (name := module.split(".")[0]) in IMPURE_MODULES and (source.path, name) not in PURE_EXCEPTIONS:
            yield source.at(node, f"{module} is banned below the purity line")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            yield source.at(node, f"{type(node).__name__} below the purity line")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield source.at(node, f"{node.func.id}() below the purity line")


def set_order(source: Source) -> Iterator[str]:
    """Below the purity line nothing walks a set in its own order, which depends on the hash seed."""
    for node in ast.walk(source.tree) if source.is_pure else ():
        comprehension = node.generators[0].iter if isinstance(node, ast.ListComp | ast.DictComp) else None
        walked = node.iter if isinstance(node, ast.For) else comprehension
        is_set_call = isinstance(walked, ast.Call) and ast.unparse(walked.func) in {"set", "frozenset"}
        if walked is not None and (is_set_call or isinstance(walked, ast.Set | ast.SetComp)):
            yield source.at(walked, "walks a set: wrap it in sorted()")


def moving_text(source: Source) -> Iterator[str]:
    """A verdict asks the frozen table about characters, unless `isascii` was asked of the same text."""
    if not source.path.startswith("src/dicast/consensus/"):
        return
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    for node in calls:
        if not isinstance(node.func, ast.Attribute):
            continue
        text = ast.unparse(node.func.value)
        if node.func.attr in MOVING_METHODS and f"{text}.isascii()" not in source.text:
            yield source.at(node, f".{node.func.attr}() depends on the Unicode version")
        if ast.unparse(node.func).startswith("re.") and is_unicode_pattern(node):
            yield source.at(node, r"\w, \d, \s and \b depend on the Unicode version: pass re.ASCII")


def is_unicode_pattern(call: ast.Call) -> bool:
    """Whether a call into `re` uses classes of characters without being told to keep to ASCII."""
    texts = [
        node.value
        for node in ast.walk(call)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    uses_classes = any(re.search(r"(?<!\\)(?:\\\\)*\\[wdsbWDSB]|\(\?i|\(\?u", text) for text in texts)
    ignores_case = "IGNORECASE" in ast.unparse(call)
    return (uses_classes or ignores_case) and not re.search(r"re\.A(SCII)?\b|\(\?a", ast.unparse(call))


def caught_bugs(source: Source) -> Iterator[str]:
    """Nobody catches `AssertionError` or everything; below the purity line not even `Exception`."""
    wide = ["AssertionError", "BaseException", *(["Exception"] if source.is_pure else [])]
    for node in ast.walk(source.tree) if source.is_ours else ():
        if not isinstance(node, ast.ExceptHandler) or is_passed_on(node):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in kinds:
            if kind is None or ast.unparse(kind) in wide:
                yield source.at(node, f"catches {ast.unparse(kind) if kind else 'everything'}")


def is_passed_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends in a bare `raise`: it cleans up and catches nothing."""
    return isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None


def frozen_records(source: Source) -> Iterator[str]:
    """Records below the purity line, and those that cross a port, are frozen."""
    for node in ast.walk(source.tree) if source.is_pure or source.path == "src/dicast/ports.py" else ():
        if isinstance(node, ast.ClassDef) and "msgspec.Struct" in map(ast.unparse, node.bases):
            keywords = {f"{word.arg}={ast.unparse(word.value)}" for word in node.keywords}
            if "frozen=True" not in keywords:
                yield source.at(node, f"{node.name} is not frozen")


def docstrings(source: Source) -> Iterator[str]:
    """A module, a public class and a public function say what they are; `...` alone needs no words."""
    if not source.is_ours:
        return
    if source.text.strip() and ast.get_docstring(source.tree) is None:
        yield f"{source.path}:1: the module has no docstring"
    for node in public_definitions(source.tree):
        if ast.get_docstring(node) is None and ast.unparse(node.body[0]) != "...":
            yield source.at(node, f"{node.name} has no docstring")


def public_definitions(parent: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Classes and functions without a leading underscore, and the methods of those classes."""
    for node in parent.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_definitions(node)


def vague_names(source: Source) -> Iterator[str]:
    """Names of the package's modules, classes and functions say something."""
    if not source.is_ours:
        return
    if VAGUE_WORDS & words_of(PurePosixPath(source.path).stem):
        yield f"{source.path}:1: the module's name says nothing"
    for node in ast.walk(source.tree):
        if (
            isinstance(node, Function | ast.ClassDef)
            and VAGUE_WORDS & words_of(node.name)
            and node.name not in NAMES_OF_OTHERS
        ):
            yield source.at(node, f"the name {node.name} says nothing")


def words_of(name: str) -> set[str]:
    """`RelayManager` and `relay_manager` -> relay, manager."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def patient_tests(source: Source) -> Iterator[str]:
    """Tests do not sleep (yielding once, `sleep(0)`, is not sleeping) and do not mock."""
    if not source.path.startswith("tests/"):
        return
    for node in ast.walk(source.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.stmt) and "mock" in ".".join([module, *names]).split("."):
            yield source.at(node, "mocks: use the in-memory twin")
        if isinstance(node, ast.Call) and is_sleep(node):
            yield source.at(node, "sleeps: wait for an event instead")


def is_sleep(call: ast.Call) -> bool:
    """Whether a call waits for a while."""
    waits_for_nothing = [ast.unparse(argument) for argument in call.args] == ["0"]
    return ast.unparse(call.func).split(".")[-1] == "sleep" and not waits_for_nothing


def plain_text(source: Source) -> Iterator[str]:
    """No em dashes, no tabs, no trailing white space, no notes to self; one line feed at the end."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if EM_DASH.search(line) or "\t" in line or line != line.rstrip() or UNFINISHED.search(line):
            yield f"{source.path}:{number}: an em dash, a tab, trailing white space or an unfinished note"
    if source.text and (not source.text.endswith("\n") or source.text.endswith("\n\n")):
        yield f"{source.path}:1: ends with other than one line feed"


def imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Every imported module with its statement; `from dicast import x` counts as `dicast.x`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "dicast":
            yield from ((node, f"dicast.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, absolute(source.path, node)


def absolute(path: str, node: ast.ImportFrom) -> str:
    """The module of a `from` import, relative ones resolved."""
    folder = path.removeprefix("src/").split("/")[: -node.level] if node.level else []
    return ".".join([*folder, *([node.module] if node.module else [])])


def package_of(path: str) -> str:
    """The layer that a file of the package belongs to: a folder, or the first word of a module at the top."""
    return layer_of(path.removeprefix("src/dicast/").split("/")[0].removesuffix(".py"))


def layer_of(name: str) -> str:
    """`client_channel` belongs to `client`."""
    return name if name in LAYERS else name.partition("_")[0]


def lines_of(function: Function) -> int:
    """How many lines a function has, decorators apart."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def median_function_lines(sources: list[Source]) -> float:
    """The median length of the package's functions."""
    return statistics.median(
        lines_of(function) for source in sources if source.is_ours for function in source.functions()
    )


EM_DASH = re.compile("\\w\\s*\u2014|\u2014\\s*\\w")
UNFINISHED = re.compile("TO" + r"DO|FIX" + r"ME|X" + "XX")
RULES: tuple[Rule, ...] = (
    *(file_length, function_length, parameter_count, nesting, layering, purity, set_order, moving_text),
    *(caught_bugs, frozen_records, docstrings, vague_names, patient_tests, plain_text),
)
