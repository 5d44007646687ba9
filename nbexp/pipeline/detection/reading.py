"""Reading code as it would run: which files it opens, which keys of config files it takes, what steers it.

The code is evaluated without being run: constants, joined paths, functions of the project with what they
are called with, options of argparse and click with their defaults or the words of a known command line.
What only running would tell is unknown, or a gap in a text. Both sides of a branch are followed unless
its condition is known; a loop over known values is followed for each. No file is written, nothing
is imported, and the work is bounded, so that any code whatever can be read.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from nbexp.pipeline.detect import dotted
from nbexp.pipeline.detection import calls
from nbexp.pipeline.detection.command_lines import Argv, CommandLine, ParserMethods, click_option
from nbexp.pipeline.detection.files import Files
from nbexp.pipeline.detection.known import KNOWN
from nbexp.pipeline.detection.seen import Key, Reading, Seen
from nbexp.pipeline.detection.symbols import (
    UNKNOWN,
    Arguments,
    Class,
    Config,
    Content,
    External,
    Function,
    Handle,
    Instance,
    Module,
    Option,
    PathText,
    Scope,
    Unit,
)
from nbexp.pipeline.detection.texts import (
    Method,
    dotted_name,
    formatted,
    is_plain,
    joined,
    keys_of,
    name_of,
    path_attribute,
    percent,
    plain,
    text_method,
    text_of,
    truth,
)
from nbexp.pipeline.detection.units import unit

_MAX_STEPS, _MAX_DEPTH, _MAX_ROUNDS = 60_000, 14, 40
_CLICK = re.compile(r"(rich_click|click|asyncclick)\.(core\.)?(option|argument)")


def read(
    root: Path,
    script: str,
    words: Sequence[str] | None,
    cwd: str = ".",
    *,
    steps: int = _MAX_STEPS,
) -> Reading:
    """What a script or notebook of the project reads, writes and takes.

    Parameters
    ----------
    script
        Relative to `root`, as `cwd`, where it is run.
    words
        Of its command line, without the script; None where they are not known.
    steps
        The bound on the work; what is found until then is what there is.
    """
    reader = Reader(root, script, words, cwd, steps)
    reader.read()
    return reader.found()


class _TooMuch(Exception):
    """The bound on the work is reached: what was found so far is what there is."""


class Reader:
    """One reading: it follows the code, and tells `seen`, `files` and `command_line` what that does."""

    def __init__(
        self,
        root: Path,
        script: str,
        words: Sequence[str] | None,
        cwd: str,
        steps: int = _MAX_STEPS,
    ) -> None:
        self.seen = Seen(root, script, cwd)
        self.files = Files(self.seen, script)
        self.command_line = CommandLine(self.seen, words)
        self._script = script
        self._units: dict[str, Unit | None] = {}
        self._steps = 0
        self._most_steps = steps
        self._stack: list[ast.AST] = []
        self._returned: list[list[object]] = []

    # ---- the whole

    def read(self) -> None:
        entry = unit(self.seen.root, self._script)
        if entry is None:
            return
        try:
            self._execute_unit(entry, is_entry=True)
        except (_TooMuch, RecursionError):
            return

    def found(self) -> Reading:
        mentioned: set[str] = set()
        for one in [self._units.get(path) for path in self._units] + [
            unit(self.seen.root, self._script)
        ]:
            for _, tree in one.trees if one is not None else ():
                for node in ast.walk(tree):
                    if isinstance(node, ast.Attribute):
                        mentioned.add(node.attr)
                    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                        mentioned.add(node.value)
        return Reading(
            tuple(self.seen.accesses.values()),
            tuple(self.seen.keys.values()),
            tuple(self.seen.configs.items()),
            tuple(self.seen.options),
            frozenset(self.seen.folders),
            self.seen.needs_words,
            tuple(self.seen.guesses),
            tuple(self.seen.runs),
            tuple(self.seen.constants.values()),
            frozenset(self.seen.path_texts),
            frozenset(mentioned),
        )

    def _execute_unit(self, one: Unit, *, is_entry: bool) -> None:
        if one.scope is not None:
            return
        outer = self.seen.unit, self.seen.cell, self.seen.line
        one.scope = Scope(one)
        one.scope.names["__name__"] = "__main__" if is_entry else dotted_name(one.path)
        if not one.path.endswith(".ipynb"):
            one.scope.names["__file__"] = str(self.seen.root / one.path)
        self.seen.unit = one
        self._returned.append([])
        for cell, tree in one.trees:
            self.seen.cell = cell
            self._block(tree.body, one.scope)
        self._returned.pop()
        self.seen.unit, self.seen.cell, self.seen.line = outer

    # ---- statements

    def _block(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Follow statements; whether something left the function or loop on the way, for certain."""
        for statement in body:
            self._steps += 1
            if self._steps > self._most_steps:
                raise _TooMuch
            self.seen.line = statement.lineno
            if self._statement(statement, scope):
                return True
        return False

    def _statement(self, node: ast.stmt, scope: Scope) -> bool:
        if isinstance(node, ast.Expr):
            self._eval(node.value, scope)
        elif isinstance(node, ast.Assign):
            value = self._eval(node.value, scope)
            for target in node.targets:
                self._assign(target, value, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node.target, self._eval(node.value, scope), scope)
        elif isinstance(node, ast.AugAssign):
            value = self._eval(node.value, scope)
            target = node.target
            if isinstance(target, ast.Name):
                found = scope.find(target.id)
                old = found.names[target.id] if found else UNKNOWN
                scope.names[target.id] = self._operate(old, node.op, value)
            else:
                self.seen.use(value)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            scope.names[node.name] = self._define(node, scope)
        elif isinstance(node, ast.ClassDef):
            scope.names[node.name] = self._class(node, scope)
        elif isinstance(node, ast.Return):
            value = self._eval(node.value, scope) if node.value is not None else None
            self._returned[-1].append(value)
            return True
        elif isinstance(node, ast.If):
            return self._if(node, scope)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._for(node, scope)
        elif isinstance(node, ast.While):
            self.seen.use(self._eval(node.test, scope))
            self._block(node.body, scope)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                value = self._eval(item.context_expr, scope)
                if item.optional_vars is not None:
                    self._assign(item.optional_vars, value, scope)
            return self._block(node.body, scope)
        elif isinstance(node, ast.Try):
            left = self._block(node.body, scope)
            for handler in node.handlers:
                self._block(handler.body, Scope(scope.unit, scope))
            if not left:
                left = self._block(node.orelse, scope)
            self._block(node.finalbody, scope)
            return left
        elif isinstance(node, ast.Match):
            self.seen.use(self._eval(node.subject, scope))
            for case in node.cases:
                self._block(case.body, scope)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node, scope)
        elif isinstance(node, (ast.Assert, ast.Delete)):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr) and isinstance(node, ast.Assert):
                    self.seen.use(self._eval(child, scope))
        elif isinstance(node, (ast.Raise, ast.Break, ast.Continue)):
            return True
        return False

    def _if(self, node: ast.If, scope: Scope) -> bool:
        test = self._eval(node.test, scope)
        known = truth(test)
        if known is not None:
            return self._block(node.body if known else node.orelse, scope)
        self.seen.use(test)
        before = dict(scope.names)
        left = self._block(node.body, scope)
        after, scope.names = scope.names, before
        other = self._block(node.orelse, scope) if node.orelse else False
        # Of two values the known one is kept, the first where both are.
        if not left or other:
            for name, value in after.items():
                if scope.names.get(name, UNKNOWN) is UNKNOWN or name not in before or other:
                    scope.names[name] = value
        return left and other and bool(node.orelse)

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        rounds = self._elements(self._eval(node.iter, scope))
        for value in rounds:
            self._assign(node.target, value, scope)
            self._block(node.body, scope)
        self._block(node.orelse, scope)

    def _elements(self, value: object) -> list[object]:
        """What a loop over the value goes through; one unknown where that is not known."""
        if isinstance(value, Config):
            self.seen.take(value)
            value = value.value
        if isinstance(value, Arguments):
            return []
        if isinstance(value, dict):
            value = list(value)
        if isinstance(value, (list, tuple, range)) and value:
            return list(value[:_MAX_ROUNDS])
        if isinstance(value, (set, frozenset)) and value:
            return sorted(value, key=str)[:_MAX_ROUNDS]
        return [UNKNOWN]

    def _assign(self, target: ast.expr, value: object, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            if isinstance(value, Config):
                value = UNKNOWN
            parts = list(value) if isinstance(value, (list, tuple)) else []
            starred = any(isinstance(one, ast.Starred) for one in target.elts)
            for place, one in enumerate(target.elts):
                if isinstance(one, ast.Starred):
                    self._assign(one.value, UNKNOWN, scope)
                elif parts and not starred and len(parts) == len(target.elts):
                    self._assign(one, parts[place], scope)
                else:
                    self._assign(one, UNKNOWN, scope)
        elif isinstance(target, ast.Attribute):
            owner = self._eval(target.value, scope)
            if isinstance(owner, (Instance, Class)):
                owner.attributes[target.attr] = value
        elif isinstance(target, ast.Subscript):
            owner = self._eval(target.value, scope)
            key = self._eval(target.slice, scope)
            if isinstance(owner, dict) and isinstance(key, (str, int)):
                owner[key] = value

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Function:
        made = Function(node, scope)
        options: list[Option] = []
        is_command = False
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            name = name_of(self._eval(call.func if call else decorator, scope))
            if _CLICK.fullmatch(name) and call is not None:
                words, named = self._words_of(call, scope)
                options.append(click_option(name, words, named, self.seen.line))
            elif re.search(r"(^|\.)(command|group|callback)$", name):
                is_command = True
            elif re.search(r"hydra(\.main)?\.main$|^hydra\.main$", name):
                _, named = self._words_of(call, scope) if call else ([], {})
                made.config = self.files.hydra(named)
        if options:
            made.options = tuple(options)
        elif is_command and any(
            isinstance(one, External) and one.name.startswith("typer")
            for one in scope.names.values()
        ):
            made.options = tuple(self._signature_options(node, scope))
        return made

    def _class(self, node: ast.ClassDef, scope: Scope) -> Class:
        made = Class(node, scope, bases=tuple(self._eval(base, scope) for base in node.bases))
        inner = Scope(scope.unit, scope)
        self._block(node.body, inner)
        made.attributes = inner.names
        for name, value in inner.names.items():
            if isinstance(value, Function):
                value.scope = scope
            made.attributes[name] = value
        return made

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = self._module(alias.name, 0)
                if alias.asname:
                    scope.names[alias.asname] = Module(module) if module else External(alias.name)
                else:
                    first = alias.name.split(".")[0]
                    top = self._module(first, 0)
                    if module is not None and "." in alias.name:
                        scope.names[alias.name] = Module(module)
                        scope.names.setdefault(first, External(first))
                    else:
                        scope.names[first] = Module(top) if top else External(first)
            return
        base = node.module or ""
        for alias in node.names:
            name = alias.asname or alias.name
            parent = self._module(base, node.level) if base or node.level else None
            if alias.name == "*":
                if parent is not None and parent.scope is not None:
                    for key, value in parent.scope.names.items():
                        if not key.startswith("_"):
                            scope.names[key] = _Alias(parent, key, value)
                continue
            whole = f"{base}.{alias.name}" if base else alias.name
            inner = self._module(whole, node.level)
            if inner is not None and not (
                parent is not None and parent.scope and alias.name in parent.scope.names
            ):
                scope.names[name] = Module(inner)
            elif parent is not None and parent.scope is not None:
                value = parent.scope.names.get(alias.name, UNKNOWN)
                scope.names[name] = _Alias(parent, alias.name, value)
            else:
                scope.names[name] = External(whole)

    def _module(self, name: str, level: int) -> Unit | None:
        """The project's module of that name, evaluated."""
        here = posixpath.dirname(self.seen.unit.path)
        if level:
            for _ in range(level - 1):
                here = posixpath.dirname(here)
            places = [here]
        else:
            if not name or name.split(".")[0] in sys.stdlib_module_names:
                return None
            places = [here, posixpath.dirname(self._script), self.seen.cwd, ".", "src"]
        tail = name.replace(".", "/")
        for place in dict.fromkeys(places):
            for file in (f"{tail}.py", f"{tail}/__init__.py" if tail else "__init__.py"):
                path = posixpath.normpath(posixpath.join(place, file))
                if path.startswith("..") or path == self._script:
                    continue
                if path not in self._units:
                    is_there = (self.seen.root / path).is_file()
                    self._units[path] = unit(self.seen.root, path) if is_there else None
                found = self._units[path]
                if found is not None:
                    self._execute_unit(found, is_entry=False)
                    return found
        return None

    # ---- expressions

    def _eval(self, node: ast.expr, scope: Scope) -> object:
        self._steps += 1
        if self._steps > self._most_steps:
            raise _TooMuch
        handler = getattr(self, f"_eval_{type(node).__name__.lower()}", None)
        if handler is not None:
            evaluate: Callable[[ast.expr, Scope], object] = handler
            return evaluate(node, scope)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.seen.use(self._eval(child, scope))
        return UNKNOWN

    def _eval_constant(self, node: ast.Constant, scope: Scope) -> object:
        return node.value

    def _eval_name(self, node: ast.Name, scope: Scope) -> object:
        found = scope.find(node.id)
        if found is None:
            return External(node.id) if node.id in _BUILTINS else UNKNOWN
        value = found.names[node.id]
        if isinstance(value, _Alias):
            self._constant(value.unit, value.name)
            return value.value
        if found.parent is None and node.id in found.unit.literals:
            self._constant(found.unit, node.id)
        return value

    def _constant(self, one: Unit, name: str) -> None:
        if name in one.literals:
            key = (one.path, name)
            self.seen.constants.setdefault(key, Key(one.path, name, self.seen.where))

    def _eval_tuple(self, node: ast.Tuple, scope: Scope) -> object:
        return tuple(self._spread(node.elts, scope))

    def _eval_list(self, node: ast.List, scope: Scope) -> object:
        return self._spread(node.elts, scope)

    def _eval_set(self, node: ast.Set, scope: Scope) -> object:
        return self._spread(node.elts, scope)

    def _spread(self, nodes: Iterable[ast.expr], scope: Scope) -> list[object]:
        found: list[object] = []
        for one in nodes:
            if isinstance(one, ast.Starred):
                value = self._eval(one.value, scope)
                found += list(value) if isinstance(value, (list, tuple)) else [UNKNOWN]
            else:
                found.append(self._eval(one, scope))
        return found

    def _eval_dict(self, node: ast.Dict, scope: Scope) -> object:
        made: dict[object, object] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self._eval(value, scope)
            if key is None:
                if isinstance(inner, dict):
                    made.update(inner)
                else:
                    self.seen.use(inner)
                continue
            name = self._eval(key, scope)
            if isinstance(name, (str, int, float, bool)):
                made[name] = inner
            else:
                self.seen.use(inner)
        return made

    def _eval_namedexpr(self, node: ast.NamedExpr, scope: Scope) -> object:
        value = self._eval(node.value, scope)
        self._assign(node.target, value, scope)
        return value

    def _eval_lambda(self, node: ast.Lambda, scope: Scope) -> object:
        return Function(node, scope)

    def _eval_await(self, node: ast.Await, scope: Scope) -> object:
        return self._eval(node.value, scope)

    def _eval_starred(self, node: ast.Starred, scope: Scope) -> object:
        return self._eval(node.value, scope)

    def _eval_ifexp(self, node: ast.IfExp, scope: Scope) -> object:
        test = self._eval(node.test, scope)
        known = truth(test)
        if known is not None:
            return self._eval(node.body if known else node.orelse, scope)
        self.seen.use(test)
        first, second = self._eval(node.body, scope), self._eval(node.orelse, scope)
        return second if first is UNKNOWN else first

    def _eval_boolop(self, node: ast.BoolOp, scope: Scope) -> object:
        last: object = UNKNOWN
        is_known = True
        for one in node.values:
            value = self._eval(one, scope)
            last = value if is_known else last
            known = truth(value)
            if is_known and known is not None and known is isinstance(node.op, ast.Or):
                return value
            if known is None:
                # What decides is not known: the first that may be the result stands for it.
                self.seen.use(value)
                is_known = False
        return UNKNOWN if isinstance(last, (Config, Arguments)) and not is_known else last

    def _eval_unaryop(self, node: ast.UnaryOp, scope: Scope) -> object:
        value = self._eval(node.operand, scope)
        if isinstance(node.op, ast.Not):
            known = truth(value)
            return UNKNOWN if known is None else not known
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
        self.seen.use(value)
        return UNKNOWN

    def _eval_compare(self, node: ast.Compare, scope: Scope) -> object:
        left = self._eval(node.left, scope)
        rights = [self._eval(one, scope) for one in node.comparators]
        right = rights[0]
        if len(rights) == 1 and is_plain(left) and is_plain(right):
            try:
                return _COMPARE[type(node.ops[0])](left, right)
            except (KeyError, TypeError):
                return UNKNOWN
        for one in [left, *rights]:
            self.seen.use(one) if not isinstance(node.ops[0], (ast.In, ast.NotIn)) else None
        return UNKNOWN

    def _eval_binop(self, node: ast.BinOp, scope: Scope) -> object:
        left, right = self._eval(node.left, scope), self._eval(node.right, scope)
        return self._operate(left, node.op, right)

    def _operate(self, left: object, op: ast.operator, right: object) -> object:
        if isinstance(op, ast.Div) and (isinstance(left, PathText) or isinstance(right, PathText)):
            return PathText(joined(text_of(left), text_of(right)))
        if isinstance(op, ast.Add) and (isinstance(left, str) or isinstance(right, str)):
            return text_of(left) + text_of(right)
        if isinstance(op, ast.Mod) and isinstance(left, str):
            return percent(left, right)
        if isinstance(op, ast.Add) and isinstance(left, (list, tuple)):
            return [*left, *right] if isinstance(right, (list, tuple)) else [*left, UNKNOWN]
        if isinstance(op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return {**left, **right}
        if isinstance(left, (int, float)) and isinstance(right, (int, float)):
            try:
                if abs(left) < 1e9 and abs(right) < 1e9:
                    return _ARITHMETIC[type(op)](left, right)
            except (KeyError, ZeroDivisionError, OverflowError, ValueError, TypeError):
                return UNKNOWN
        self.seen.use(left)
        self.seen.use(right)
        return UNKNOWN

    def _eval_joinedstr(self, node: ast.JoinedStr, scope: Scope) -> object:
        text = ""
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                value = self._eval(part.value, scope)
                spec = self._eval(part.format_spec, scope) if part.format_spec else ""
                text += formatted(value, spec)
            else:
                text += text_of(self._eval(part, scope))
        return text

    def _eval_subscript(self, node: ast.Subscript, scope: Scope) -> object:
        owner = self._eval(node.value, scope)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(owner, node.slice, scope)
        key = self._eval(node.slice, scope)
        if isinstance(owner, Config):
            return self.files.part(owner, key)
        if isinstance(owner, Arguments):
            return self.command_line.option(owner, key) if isinstance(key, str) else UNKNOWN
        if isinstance(owner, External) and owner.name == "os.environ":
            return UNKNOWN
        if isinstance(owner, Argv):
            return owner.word(key, self)
        try:
            if isinstance(owner, dict) and isinstance(key, (str, int)):
                return owner.get(str(key) if isinstance(key, str) else key, UNKNOWN)
            if isinstance(owner, (list, tuple, str)) and isinstance(key, int):
                return owner[key]
        except IndexError:
            return UNKNOWN
        self.seen.use(key)
        return UNKNOWN

    def _sliced(self, owner: object, node: ast.Slice, scope: Scope) -> object:
        bounds: list[int | None] = []
        for one in (node.lower, node.upper, node.step):
            value = self._eval(one, scope) if one is not None else None
            if value is not None and not isinstance(value, int):
                return UNKNOWN
            bounds.append(value)
        if isinstance(owner, Argv):
            return owner.words[slice(*bounds)] if owner.known else UNKNOWN
        if isinstance(owner, str):
            return str(owner[slice(*bounds)])
        return owner[slice(*bounds)] if isinstance(owner, (list, tuple)) else UNKNOWN

    def _eval_attribute(self, node: ast.Attribute, scope: Scope) -> object:
        whole = dotted(node)
        if whole is not None and (found := scope.find(whole)) is not None:
            return found.names[whole]
        owner = self._eval(node.value, scope)
        return self._attribute(owner, node.attr)

    def _attribute(self, owner: object, name: str) -> object:
        if isinstance(owner, External):
            if owner.name == "sys" and name == "argv":
                return Argv(self._script, self.command_line.words)
            return External(f"{owner.name}.{name}")
        if isinstance(owner, Module):
            scope = owner.unit.scope
            if scope is not None and name in scope.names:
                self._constant(owner.unit, name)
                value = scope.names[name]
                return value.value if isinstance(value, _Alias) else value
            return UNKNOWN
        if isinstance(owner, Config):
            is_key = isinstance(owner.value, Mapping) and (
                name in owner.value or name in owner.groups
            )
            return self.files.part(owner, name) if is_key else Method(owner, name)
        if isinstance(owner, Arguments):
            return self.command_line.option(owner, name)
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            found = self._of_class(owner.cls, name)
            if isinstance(found, Function):
                is_static = any(
                    dotted(one) == "staticmethod"
                    for one in getattr(found.node, "decorator_list", ())
                )
                bound = Function(found.node, found.scope, None if is_static else owner)
                if any(
                    (dotted(one) or "").endswith("property")
                    for one in getattr(found.node, "decorator_list", ())
                ):
                    return self._call_function(bound, [], {})
                return bound
            return Method(owner, name) if found is UNKNOWN else found
        if isinstance(owner, Class):
            found = self._of_class(owner, name)
            qualified = f"{owner.node.name}.{name}"
            if owner.scope.parent is None:
                self._constant(owner.scope.unit, qualified)
            if isinstance(found, Function):
                is_class = any(
                    dotted(one) == "classmethod"
                    for one in getattr(found.node, "decorator_list", ())
                )
                return Function(found.node, found.scope, owner if is_class else None)
            return found
        if isinstance(owner, str):
            return (
                path_attribute(owner, name) if isinstance(owner, PathText) else Method(owner, name)
            )
        return Method(owner, name)

    def _of_class(self, cls: Class, name: str) -> object:
        if name in cls.attributes:
            if cls.scope.parent is None and isinstance(cls.attributes[name], (int, float, str)):
                self._constant(cls.scope.unit, f"{cls.node.name}.{name}")
            return cls.attributes[name]
        for base in cls.bases:
            if isinstance(base, Class):
                found = self._of_class(base, name)
                if found is not UNKNOWN:
                    return found
        return UNKNOWN

    def _comprehend(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope
    ) -> object:
        return self._rounds(node.generators, scope, lambda inner: self._eval(node.elt, inner))

    _eval_listcomp = _eval_setcomp = _eval_generatorexp = _comprehend

    def _eval_dictcomp(self, node: ast.DictComp, scope: Scope) -> object:
        pairs = self._rounds(
            node.generators,
            scope,
            lambda inner: (self._eval(node.key, inner), self._eval(node.value, inner)),
        )
        made = {}
        for pair in pairs:
            assert isinstance(pair, tuple)
            if isinstance(pair[0], (str, int)):
                made[pair[0]] = pair[1]
        return made or UNKNOWN

    def _rounds(
        self,
        generators: Sequence[ast.comprehension],
        scope: Scope,
        make: Callable[[Scope], object],
    ) -> list[object]:
        inner = Scope(scope.unit, scope)
        found: list[object] = []

        def go(rest: Sequence[ast.comprehension]) -> None:
            if not rest:
                if len(found) < _MAX_ROUNDS:
                    found.append(make(inner))
                return
            first = rest[0]
            for value in self._elements(self._eval(first.iter, inner)):
                self._assign(first.target, value, inner)
                tests = [self._eval(test, inner) for test in first.ifs]
                if all(truth(test) is not False for test in tests):
                    go(rest[1:])

        go(generators)
        return found

    # ---- calls

    def _words_of(self, call: ast.Call, scope: Scope) -> tuple[list[object], dict[str, object]]:
        words: list[object] = []
        for one in call.args:
            if isinstance(one, ast.Starred):
                value = self._eval(one.value, scope)
                self.seen.use(value)
                words += list(value) if isinstance(value, (list, tuple)) else [UNKNOWN]
            else:
                words.append(self._eval(one, scope))
        named: dict[str, object] = {}
        for keyword in call.keywords:
            value = self._eval(keyword.value, scope)
            if keyword.arg is not None:
                named[keyword.arg] = value
            elif isinstance(value, dict):
                named.update({str(key): inner for key, inner in value.items()})
            elif isinstance(value, Config):
                named["**"] = value
            elif isinstance(value, Arguments):
                named.update(
                    {o.dest: self.command_line.option(value, o.dest) for o in value.parser.options}
                )
        return words, named

    def _eval_call(self, node: ast.Call, scope: Scope) -> object:
        called = self._eval(node.func, scope)
        words, named = self._words_of(node, scope)
        self.seen.line = node.lineno
        if isinstance(called, Function):
            return self._call_function(called, words, named)
        if isinstance(called, Class):
            return self._make(called, words, named)
        if isinstance(called, External):
            return self._call_external(called.name, words, named)
        if isinstance(called, Method):
            return self._call_method(called.owner, called.name, words, named)
        for value in [*words, *named.values()]:
            self.seen.use(value)
        return UNKNOWN

    def _call_function(
        self, function: Function, words: Sequence[object], named: Mapping[str, object]
    ) -> object:
        node = function.node
        if len(self._stack) >= _MAX_DEPTH or self._stack.count(node) > 1:
            return UNKNOWN
        inner = Scope(function.scope.unit, function.scope)
        given = list(words)
        if function.bound is not None:
            given.insert(0, function.bound)
        if function.options is not None and not words and not named:
            named = self.command_line.values_of(function.options)
        if function.config is not None and not words:
            given = [function.config]
        self._bind(node.args, given, dict(named), function, inner)
        outer = self.seen.unit, self.seen.cell, self.seen.line
        if function.scope.unit is not self.seen.unit:
            self.seen.unit, self.seen.cell = function.scope.unit, None
        self._stack.append(node)
        self._returned.append([])
        try:
            if isinstance(node, ast.Lambda):
                return self._eval(node.body, inner)
            self._block(node.body, inner)
            results = self._returned[-1]
        finally:
            self._returned.pop()
            self._stack.pop()
            self.seen.unit, self.seen.cell, self.seen.line = outer
        known = [value for value in results if value is not UNKNOWN and value is not None]
        return known[0] if known else (results[0] if results else None)

    def _bind(
        self,
        arguments: ast.arguments,
        words: list[object],
        named: dict[str, object],
        function: Function,
        inner: Scope,
    ) -> None:
        places = [*arguments.posonlyargs, *arguments.args]
        spread = named.pop("**", None)
        defaults: list[ast.expr | None] = [None] * (len(places) - len(arguments.defaults))
        defaults += arguments.defaults
        pairs = list(zip(places, defaults, strict=True))
        pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
        for place, (argument, default) in enumerate(pairs):
            name = argument.arg
            if place < len(places) and place < len(words):
                value = words[place]
            elif name in named:
                value = named.pop(name)
            elif isinstance(spread, Config) and name in keys_of(spread):
                value = self.files.part(spread, name)
            elif default is not None:
                value = self._eval(default, function.scope)
            else:
                value = UNKNOWN
            inner.names[name] = value
        if arguments.vararg is not None:
            inner.names[arguments.vararg.arg] = words[len(places) :] or UNKNOWN
        if arguments.kwarg is not None:
            inner.names[arguments.kwarg.arg] = spread if isinstance(spread, Config) else dict(named)

    def _make(self, cls: Class, words: list[object], named: dict[str, object]) -> object:
        made = Instance(cls)
        start = self._of_class(cls, "__init__")
        if isinstance(start, Function):
            self._call_function(Function(start.node, start.scope, made), words, named)
            return made
        # A dataclass: its fields in their order.
        fields = [
            one.target.id
            for one in cls.node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        ]
        made.attributes.update(dict(zip(fields, words, strict=False)))
        spread = named.pop("**", None)
        made.attributes.update(named)
        if isinstance(spread, Config):
            made.attributes.update(
                {name: self.files.part(spread, name) for name in fields if name in keys_of(spread)}
            )
            if not fields:
                self.seen.use(spread)
        return made

    def _call_external(self, name: str, words: list[object], named: dict[str, object]) -> object:
        short = name.rpartition(".")[2]
        first = words[0] if words else UNKNOWN
        special = KNOWN.get(name)
        if special is not None:
            return special(self, words, named)
        if name in calls.OPENERS:
            mode = named.get("mode", words[1] if len(words) > 1 else "r")
            target = calls.path_word(words, named, 0)
            return self.files.open(target, mode)
        if name in calls.CONFIG_LOADERS or re.search(r"(^|\.)OmegaConf\.load$", name):
            return self.files.load(first if words else calls.path_word(words, named, 0), name)
        if name in calls.COPIERS and len(words) > 1:
            self.seen.touch(first, "read")
            target = words[1]
            if isinstance(target, str) and isinstance(first, str) and self.files.is_folder(target):
                target = joined(target, posixpath.basename(first))
            self.seen.touch(target, "write")
            return target
        does = calls.of(name)
        if does is not None:
            path = calls.path_word(words, named, does[1])
            if isinstance(path, (Handle, Content)):
                return UNKNOWN
            return self.files.done(does[0], path, name)
        if short in calls.WRAPPERS and isinstance(first, (Config, Arguments)):
            return first
        if short in calls.WRAPPERS and isinstance(named.get("**"), Config):
            return named["**"]
        if re.fullmatch(r"(typer|fire\.Fire|typer\.run)", name) or name == "fire.Fire":
            if isinstance(first, Function):
                options = self._signature_options(first.node, first.scope)
                return self._call_function(
                    Function(first.node, first.scope, first.bound, tuple(options)), [], {}
                )
            return UNKNOWN
        if not calls.SILENT.fullmatch(name):
            for value in [*words, *named.values()]:
                self.seen.use(value)
        for value in [*words, *named.values()]:
            if isinstance(value, Function) and len(self._stack) < 6:
                # Handed over to be called: `pool.map(work, …)`, `Thread(target=work)`.
                self._call_function(value, [], {"_": UNKNOWN})
        return UNKNOWN

    def _call_method(
        self, owner: object, name: str, words: list[object], named: dict[str, object]
    ) -> object:
        first = words[0] if words else UNKNOWN
        if isinstance(owner, Config):
            if name == "get" and words:
                found = self.files.part(owner, first)
                return found if found is not UNKNOWN else (words[1] if len(words) > 1 else UNKNOWN)
            if name in {"copy", "to_dict", "as_dict"}:
                return owner
            if name == "update":
                return None
            self.seen.take(owner)
            if isinstance(owner.value, Mapping) and name == "items":
                return [(key, plain(value)) for key, value in owner.value.items()]
            if isinstance(owner.value, Mapping) and name == "values":
                return [plain(value) for value in owner.value.values()]
            return UNKNOWN
        if isinstance(owner, (Handle, Content)):
            return Content(owner.path) if name in {"read", "readlines"} else UNKNOWN
        if isinstance(owner, ParserMethods):
            return owner.call(self, name, words, named)
        if isinstance(owner, str):
            if isinstance(owner, PathText) or name in {
                "read_text",
                "write_text",
                "iterdir",
                "rglob",
            }:
                found = self.files.path_method(owner, name, words, named)
                if found is not NotImplemented:
                    return found
            return text_method(owner, name, words, named)
        if isinstance(owner, (list, dict)):
            if (
                isinstance(owner, list)
                and name in {"append", "extend"}
                and len(owner) < _MAX_ROUNDS
            ):
                owner.extend(
                    first if isinstance(first, (list, tuple)) and name == "extend" else [first]
                )
                return None
            if isinstance(owner, dict):
                if name == "get" and isinstance(first, (str, int)):
                    return owner.get(first, words[1] if len(words) > 1 else None)
                if name in {"items", "keys", "values"}:
                    return list(
                        {"items": owner.items, "keys": owner.keys, "values": owner.values}[name]()
                    )
                if name == "update" and isinstance(first, dict):
                    owner.update(first)
                    return None
        if name in {"load", "safe_load"} and isinstance(first, (Handle, Content, str)):
            found = self.files.load(first, "load")  # ruamel's YAML().load(…)
            if found is not UNKNOWN:
                return found
        if calls.SILENT_METHOD.match(name):
            return UNKNOWN
        if (
            name in {"save", "export"}
            and isinstance(first, str)
            and ("." in posixpath.basename(first) or "/" in first)
        ):
            self.seen.touch(first, "write")
            return UNKNOWN
        does = calls.method(name)
        if does is not None:
            path = calls.path_word(words, named, 0)
            if isinstance(path, str):
                return self.files.done(does, path, name)
        for value in [*words, *named.values()]:
            self.seen.use(value)
        return UNKNOWN

    def _signature_options(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope
    ) -> list[Option]:
        """The options that typer or fire makes of a function's arguments."""
        arguments = [*node.args.posonlyargs, *node.args.args]
        defaults: list[ast.expr | None] = [None] * (len(arguments) - len(node.args.defaults))
        found = []
        for argument, default in zip(arguments, [*defaults, *node.args.defaults], strict=True):
            value: object = None
            names: tuple[str, ...] = ()
            is_required = default is None
            if isinstance(default, ast.Call):
                called = name_of(self._eval(default.func, scope))
                words, _ = self._words_of(default, scope)
                if called.startswith("typer."):
                    value = words[0] if words else None
                    is_required = value is None or value is ...
                    names = tuple(w for w in words if isinstance(w, str) and w.startswith("--"))
                    value = None if value is ... else value
                    if called.endswith("Option") and not names:
                        names = (f"--{argument.arg.replace('_', '-')}",)
            elif default is not None:
                value = self._eval(default, scope)
                names = (f"--{argument.arg.replace('_', '-')}",)
            is_path = argument.annotation is not None and "Path" in ast.unparse(argument.annotation)
            found.append(
                Option(
                    names,
                    argument.arg,
                    value,
                    is_switch=isinstance(value, bool),
                    is_path=is_path or isinstance(value, PathText),
                    is_required=is_required,
                    line=self.seen.line,
                )
            )
        return found


class _Alias:
    """A name that was imported from a module of the project."""

    def __init__(self, unit_: Unit, name: str, value: object) -> None:
        if isinstance(value, _Alias):
            unit_, name, value = value.unit, value.name, value.value
        self.unit: Unit = unit_
        self.name: str = name
        self.value: object = value


_BUILTINS = frozenset(
    "open print len range zip enumerate sorted list tuple dict set str int float bool map filter min max sum "
    "isinstance type reversed Exception any all abs round iter next super vars getattr".split()
)
_COMPARE: Mapping[type[ast.cmpop], Callable[[object, object], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: bool(a < b),  # type: ignore[operator]  # a TypeError is what is caught
    ast.LtE: lambda a, b: bool(a <= b),  # type: ignore[operator]
    ast.Gt: lambda a, b: bool(a > b),  # type: ignore[operator]
    ast.GtE: lambda a, b: bool(a >= b),  # type: ignore[operator]
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
