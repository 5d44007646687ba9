"""The pipelines as a picture's worth of data: stages or outputs, who needs whom, and DVC's two texts of it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from nbexp.errors import NotFound
from nbexp.frozen import frozen
from nbexp.pipeline.graph import Graph, is_inside, overlap
from nbexp.pipeline.stage import Stage
from nbexp.results import Result

Edge = tuple[str, str]


@frozen
class Dag(Result):
    """Stages (or outputs) as one types them here; an edge leads from what is needed to what needs it."""

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]

    def __repr__(self) -> str:
        return f"<Dag: {len(self.nodes)} nodes, {len(self.edges)} edges>"

    def to_json(self) -> dict[str, object]:
        return {"nodes": [*self.nodes], "edges": [[*edge] for edge in self.edges]}

    def to_dot(self) -> str:
        """For Graphviz, as `dvc dag --dot` writes it."""
        lines = [f"{_quoted(node)};" for node in self.nodes]
        lines += [f"{_quoted(one)} -> {_quoted(other)};" for one, other in self.edges]
        return "\n".join(["strict digraph {", *lines, "}", ""])

    def to_mermaid(self) -> str:
        """A Mermaid flowchart, as `dvc dag --mermaid` writes it: one pipeline after the other, by name."""
        lines = ["flowchart TD"]
        numbers: dict[str, int] = {}
        for part in self.pipelines():
            for node in sorted(part.nodes):
                numbers[node] = len(numbers) + 1
                label = node.replace('"', "#quot;")
                lines.append(f'\tnode{numbers[node]}["{label}"]')
            lines += [
                f"\tnode{numbers[one]}-->node{numbers[other]}" for one, other in sorted(part.edges)
            ]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """The flowchart as a block of Markdown."""
        return f"```mermaid\n{self.to_mermaid()}```\n"

    def pipelines(self) -> tuple[Dag, ...]:
        """The parts that have nothing to do with each other, in the order of their first nodes."""
        beside: dict[str, list[str]] = {node: [] for node in self.nodes}
        for one, other in self.edges:
            beside[one].append(other)
            beside[other].append(one)
        found: list[Dag] = []
        seen: set[str] = set()
        for node in self.nodes:
            if node in seen:
                continue
            part = _reached([node], beside)
            seen |= part
            found.append(self._of(part))
        return tuple(found)

    def around(self, targets: Iterable[str], *, full: bool) -> Dag:
        """What the targets need; with `full` all that is connected to them."""
        beside: dict[str, list[str]] = {node: [] for node in self.nodes}
        for one, other in self.edges:
            beside[other].append(one)
            if full:
                beside[one].append(other)
        return self._of(_reached(targets, beside))

    def renamed(self, names: dict[str, str]) -> Dag:
        """With other names for nodes; those that get the same name become one, at the end."""
        kept = [node for node in self.nodes if node not in names]
        nodes = dict.fromkeys([*kept, *(names[node] for node in self.nodes if node in names)])
        edges = [(names.get(one, one), names.get(other, other)) for one, other in self.edges]
        return Dag(tuple(nodes), tuple(dict.fromkeys(edges)))

    def _of(self, nodes: set[str]) -> Dag:
        return Dag(
            tuple(node for node in self.nodes if node in nodes),
            tuple(edge for edge in self.edges if nodes.issuperset(edge)),
        )


def build(
    graph: Graph,
    here: str,
    target: str | None = None,
    *,
    full: bool = False,
    outs: bool = False,
    collapse: bool = False,
) -> Dag:
    """The pipelines as seen from the directory `here`.

    Parameters
    ----------
    target
        A stage, a file of stages, or an output: it and what it needs.
    full
        All that the target is connected to.
    outs
        Outputs instead of stages.
    collapse
        One node for all stages of a `foreach` or `matrix`.

    Raises
    ------
    NotFound
        There is no such target.
    """
    found = _of_outs(graph, here) if outs else _of_stages(graph, here)
    if target is not None:
        found = found.around(_targets(graph, here, target, outs=outs), full=full)
    if collapse:
        groups = {
            stage.address(here): stage.address(here).removesuffix(stage.name) + stage.spec.group
            for stage in graph.stages
            if stage.spec.group
        }
        found = found.renamed({node: groups[node] for node in found.nodes if node in groups})
    return found


def _of_stages(graph: Graph, here: str) -> Dag:
    edges = [
        (other.address(here), stage.address(here))
        for stage in graph.stages
        for other in graph.needs[stage]
    ]
    return _dag((stage.address(here) for stage in graph.stages), edges)


def _of_outs(graph: Graph, here: str) -> Dag:
    edges = [
        (posixpath.relpath(read, here), posixpath.relpath(out.path, here))
        for stage in graph.stages
        for read in _read_outs(stage, graph)
        for out in stage.outs
    ]
    return _dag((posixpath.relpath(out.path, here) for _, out in graph.outs), edges)


def _dag(nodes: Iterable[str], edges: Iterable[Edge]) -> Dag:
    """Edges in the order of the nodes that they lead from."""
    place = {node: number for number, node in enumerate(dict.fromkeys(nodes))}
    ordered = sorted(dict.fromkeys(edges), key=lambda edge: (place[edge[0]], place[edge[1]]))
    return Dag(tuple(place), tuple(ordered))


def _read_outs(stage: Stage, graph: Graph) -> list[str]:
    read = [dep.path for dep in stage.deps] + [param.path for param in stage.params]
    return [
        out.path
        for other in graph.needs[stage]
        for out in other.outs
        if any(overlap(out.path, path) for path in read)
    ]


def _targets(graph: Graph, here: str, target: str, *, outs: bool) -> list[str]:
    if not outs:
        return [stage.address(here) for stage in graph.targets([target], here, outs=True)]
    try:
        found = [out.path for stage in graph.targets([target], here) for out in stage.outs]
    except NotFound:
        place = posixpath.normpath(posixpath.join(here, target))
        found = [
            out.path
            for _, out in graph.outs
            if is_inside(place, out.path) or is_inside(out.path, place)
        ]
        if not found:
            raise
    return [posixpath.relpath(path, here) for path in found]


def _reached(starts: Iterable[str], beside: dict[str, list[str]]) -> set[str]:
    seen = set(starts)
    ahead: Sequence[str] = [*seen]
    while ahead:
        ahead = [other for node in ahead for other in beside[node] if other not in seen]
        seen.update(ahead)
    return seen


def _quoted(node: str) -> str:
    escaped = node.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
