"""What a cell of Python reads and binds, and the statements of earlier cells that define what it reads.

Nothing is executed. What runs at once is followed in order, so that `acc = acc + 1` reads `acc` and `n = 1; n + 1`
does not read `n`; the bodies of functions are looked at as if they were called at the cell's end. What is only bound
on some way through the cell (`if …: n = 1`) may be read from outside, and counts as read.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence

from nbexp.formats import notebook
from nbexp.frozen import frozen

# What every cell has without defining it: Python's own names and those that IPython puts there.
_GIVEN = frozenset(dir(builtins)) | {
    "__name__", "__builtins__", "__file__", "get_ipython", "display", "In", "Out", "exit", "quit",
}  # fmt: skip
# IPython fills in `{name}` and `$name` in the line of a magic and of a shell command.
_FILLED = re.compile(r"\{\s*([A-Za-z_]\w*)\s*\}|(?<!\$)\$([A-Za-z_]\w*)")
_TIMED_LINE = re.compile(r"\s*%(?:time|timeit|prun)\s+(?P<code>.*)$")


@frozen
class Names:
    """The names of a cell.

    Attributes
    ----------
    reads
        What it takes from outside, in the order of its code.
    maybe
        Those of `reads` that it takes from outside on some way through its code only.
    binds
        What it defines or assigns.
    strings
        The texts that stand in it, which may be paths.
    is_open
        It imports all of a module (`from m import *`), so what it binds is not known.
    """

    reads: tuple[str, ...]
    maybe: frozenset[str]
    binds: frozenset[str]
    strings: tuple[str, ...] = ()
    is_open: bool = False


@frozen
class Statement:
    """A statement of an earlier cell that does nothing but import or define: `place` is where it stood."""

    source: str
    names: Names
    place: tuple[int, int]


def names(source: str) -> Names | None:
    """The names of a cell; None where it is no Python."""
    text = notebook.python(source)
    if text is None:
        return None
    tree = ast.parse(text)
    found = _names(tree.body)
    mentioned = dict.fromkeys([*found.reads, *_in_magics(source)])
    return Names(tuple(mentioned), found.maybe, found.binds, found.strings, found.is_open)


def definitions(cells: Sequence[str]) -> dict[str, Statement]:
    """The last statement of each name that an import, function or class of these cells has bound.

    Cells that are no Python have none. A name that was assigned another value since is still there: whether it is
    what the statement defined, its value says.
    """
    found: dict[str, Statement] = {}
    for number, cell in enumerate(cells):
        text = notebook.python(cell)
        if text is None:
            continue
        lines = text.splitlines()
        for place, node in enumerate(ast.parse(text).body):
            if not _only_defines(node):
                continue
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(one.lineno for one in decorators)])
            # Of `import a; import b` each statement would take the whole line, and be there twice.
            source = "\n".join(lines[first - 1 : node.end_lineno])
            if ";" in lines[first - 1] and not decorators:
                source = ast.unparse(node)
            statement = Statement(source, _names([node]), (number, place))
            for name in statement.names.binds:
                found[name] = statement
    return found


def _only_defines(node: ast.stmt) -> bool:
    """An import, a function or a class, or a `try` or `if` around such."""
    if isinstance(
        node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ):
        return True
    if isinstance(node, ast.If):
        inner: list[ast.stmt] = [*node.body, *node.orelse]
    elif isinstance(node, ast.Try):
        handled = [one for handler in node.handlers for one in handler.body]
        inner = [*node.body, *handled, *node.orelse, *node.finalbody]
    else:
        return False
    return all(_only_defines(one) or _is_plain(one) for one in inner) and any(
        map(_only_defines, inner)
    )


def _is_plain(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    )


def _in_magics(source: str) -> Iterator[str]:
    """The names that magic and shell lines take, by what IPython fills in; of `%time`, those of its code."""
    for line in source.splitlines():
        timed = _TIMED_LINE.match(line)
        if timed is not None:
            inner = names(timed["code"])
            yield from inner.reads if inner is not None else ()
        elif line.lstrip().startswith(("%", "!")) or re.match(r"\s*[\w, ]+=\s*[%!]", line):
            for match in _FILLED.finditer(line):
                name = match[1] or match[2]
                if name not in _GIVEN:
                    yield name


def _names(body: Iterable[ast.stmt]) -> Names:
    reader = _Reader()
    reader.run(body)
    reads = dict(reader.reads)
    reads.update(dict.fromkeys(name for name in reader.later if name not in reader.bound))
    reads = {name: None for name in reads if name not in _GIVEN}
    maybe = frozenset(
        name
        for name in reads
        if name in reader.binds and (name in reader.unsure or name not in reader.reads)
    )
    return Names(
        tuple(reads), maybe, frozenset(reader.binds), tuple(reader.strings), reader.is_open
    )


class _Reader(ast.NodeVisitor):
    """Walks code as Python runs it: `bound` is what is bound for certain by then."""

    def __init__(self) -> None:
        self.reads: dict[str, None] = {}
        self.later: dict[str, None] = {}  # read in functions, when they are called
        self.bound: set[str] = set()
        self.binds: set[str] = set()
        self.unsure: set[str] = set()  # read where some way had bound it
        self.strings: dict[str, None] = {}
        self.is_open = False
        self._inner: list[tuple[str, set[str]]] = []  # classes and comprehensions around

    def run(self, body: Iterable[ast.AST]) -> None:
        for node in body:
            self.visit(node)

    # ---- names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self.bound.discard(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.strings[node.value] = None

    def _read(self, name: str) -> None:
        if any(name in inner for _, inner in self._inner) or name in self.bound:
            return
        if name in self.binds:
            self.unsure.add(name)
        self.reads[name] = None

    def _bind(self, name: str) -> None:
        if self._inner:
            self._inner[-1][1].add(name)
        else:
            self.bound.add(name)
            self.binds.add(name)

    # ---- statements whose parts do not run in the order in which they stand

    def visit_Assign(self, node: ast.Assign) -> None:
        self.run([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.run([node.value, node.target])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.run([node.value, node.target])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        # Out of a comprehension it binds around it.
        kept = self._inner
        while self._inner and self._inner[-1][0] == "comprehension":
            self._inner = self._inner[:-1]
        self._bind(node.target.id)
        self._inner = kept

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.is_open = True
            else:
                self._bind(alias.asname or alias.name)

    # ---- ways

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._ways([node.body, node.orelse])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._ways([[node.target, *node.body], []])
        self.run(node.orelse)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._ways([node.body, []])
        self.run(node.orelse)

    def visit_Try(self, node: ast.Try) -> None:
        self._ways([[*node.body, *node.orelse], *([one] for one in node.handlers)])
        self.run(node.finalbody)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._ways([[*node.body, *node.orelse], *([one] for one in node.handlers)])
        self.run(node.finalbody)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        if node.name is not None:
            self._bind(node.name)
        self.run(node.body)
        if node.name is not None:
            self.bound.discard(node.name)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        self._ways([*([case] for case in node.cases), []])

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.pattern is not None:
            self.visit(node.pattern)
        if node.name is not None:
            self._bind(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name is not None:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest is not None:
            self._bind(node.rest)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        self._ways([[node.body], [node.orelse]])

    def _ways(self, ways: Sequence[Sequence[ast.AST]]) -> None:
        """Code of which one part runs: what every part that goes on has bound is bound."""
        before = set(self.bound)
        after: list[set[str]] = []
        for way in ways:
            self.bound = set(before)
            self.run(way)
            if not (way and _leaves(way[-1])):
                after.append(self.bound)
        self.bound = set.intersection(*after) if after else before

    # ---- scopes of their own

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.run(node.decorator_list)
        self._arguments(node.args)
        if node.returns is not None:
            self.visit(node.returns)
        self._later(node)
        self._bind(node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._arguments(node.args)
        self._later(node)

    def _arguments(self, given: ast.arguments) -> None:
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        self.run([one.annotation for one in every if one is not None and one.annotation])
        self.run([*given.defaults, *(one for one in given.kw_defaults if one is not None)])

    def _later(self, node: ast.AST) -> None:
        hidden = {name for kind, inner in self._inner if kind == "comprehension" for name in inner}
        for child in symtable.symtable(ast.unparse(node), "cell", "exec").get_children():
            for symbol in _symbols(child):
                is_read = symbol.is_global() and symbol.is_referenced()
                if is_read and symbol.get_name() not in hidden:
                    self.later[symbol.get_name()] = None
                if symbol.is_declared_global() and symbol.is_assigned():
                    self.binds.add(symbol.get_name())
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant):
                self.visit_Constant(inner)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.run([*node.decorator_list, *node.bases, *node.keywords])
        self._inner.append(("class", set()))
        self.run(node.body)
        self._inner.pop()
        self._bind(node.name)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        self.visit(node.generators[0].iter)
        self._inner.append(("comprehension", set()))
        for number, part in enumerate(node.generators):
            if number:
                self.visit(part.iter)
            self.visit(part.target)
            self.run(part.ifs)
        self.run([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self._inner.pop()

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)


def _leaves(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler | ast.match_case):
        return bool(node.body) and _leaves(node.body[-1])
    return isinstance(node, ast.Raise | ast.Return | ast.Continue | ast.Break)


def _symbols(table: symtable.SymbolTable) -> Iterator[symtable.Symbol]:
    yield from table.get_symbols()
    for child in table.get_children():
        yield from _symbols(child)
