"""Hydra composition: params.yaml is composed to the same bytes, and recorded in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins

_STAGE = "stages:\n  one:\n    cmd: cp params.yaml out.txt\n    params: [lr, model]\n    outs: [out.txt]\n"
_ON = "[hydra]\n    enabled = True\n"

BASE = {
    "dvc.yaml": _STAGE,
    ".dvc/config": _ON,
    "params.yaml": "# by hand\nold: 1\n",
    "conf/config.yaml": "defaults:\n  - model: small\n  - _self_\nlr: 0.1\n",
    "conf/model/small.yaml": "name: small\ndepth: 2\n",
    "conf/model/big.yaml": "name: big  # comments go\ndepth: 8\n",
}

RICH = {
    **BASE,
    "conf/config.yaml": (
        "defaults:\n  - base\n  - model: small\n  - optional local: nothing_here\n  - db@store: mysql\n"
        "  - db@backup: [mysql, port]\n  - override model: big\n  - _self_\n"
        "lr: 0.1\nscaled: ${model.depth}\ntext: 'x-${model.name}-${.lr}'\nmissing: ???\nnothing: null\nyes_text: 'yes'\n"
        "when: ${oc.env:NOT_SET_ANYWHERE,never}\nlist: [1, '${lr}', {a: '${nested.deep.er}'}]\nnested: {deep: {er: 1e-3}}\n"
    ),
    "conf/base.yaml": "# @package _global_\nseed: 1\nlr: 5\nunicode: Zürich\n",
    "conf/db/mysql.yaml": "kind: mysql\nport: 3306\n",
    "conf/db/port.yaml": "port: 1\n",
    "conf/exp/fast.yaml": "# @package _global_\ndefaults:\n  - override /model: small\nlr: 1.0\n",
    "conf/model/deep/er.yaml": "defaults: [/model/big@_here_, _self_]\ndepth: 100\n",
}

ELSEWHERE = {
    "dvc.yaml": _STAGE,
    ".dvc/config": _ON + "    config_dir = settings/all\n    config_name = start\n",
    "settings/all/start.yaml": "defaults: [model: only]\nlr: 0.1\n",
    "settings/all/model/only.yaml": "name: only\n",
    "other.json": '{"a": 1, "b": 2}',
}

MODULE = {
    "dvc.yaml": _STAGE,
    ".dvc/config": _ON + "    config_module = package.conf\n",
    "package/__init__.py": "",
    "package/conf/__init__.py": "",
    "package/conf/config.yaml": "defaults: [model: only]\nlr: 0.1\n",
    "package/conf/model/__init__.py": "",
    "package/conf/model/only.yaml": "name: only\n",
}

PLUGIN = {
    **BASE,
    ".dvc/config": _ON + "    plugins_path = extra\n",
    "conf/config.yaml": "defaults: [model: from_plugin]\nlr: ${twice:21}\n",
    "extra/hydra_plugins/ours/__init__.py": (
        "from hydra.core.config_search_path import ConfigSearchPath\n"
        "from hydra.plugins.search_path_plugin import SearchPathPlugin\n"
        "from omegaconf import OmegaConf\n"
        "print('a plugin may print')\n"
        "OmegaConf.register_new_resolver('twice', lambda number: 2 * number)\n"
        "class Ours(SearchPathPlugin):\n"
        "    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:\n"
        "        search_path.append('ours', 'pkg://hydra_plugins.ours.conf')\n"
    ),
    "extra/hydra_plugins/ours/conf/__init__.py": "",
    "extra/hydra_plugins/ours/conf/model/__init__.py": "",
    "extra/hydra_plugins/ours/conf/model/from_plugin.yaml": "name: from a plugin\n",
}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (BASE, ()),
        (BASE, ("model=big", "lr=0.5", "+extra=1")),
        (BASE, ("+model@second=big", "~lr", "++model.depth=1e-3", "+lr=[1,{a: x y}]")),
        (RICH, ()),
        (RICH, ("model=deep/er", "+exp=fast", "db@store=port", "text='${model.name},${seed}'")),
        (RICH, ("~db@store", "missing=3", "+model.new={a:1}", "hydra.run.dir=x", "unicode='Grüße'")),
        (ELSEWHERE, ("other.json:a=5", "lr=2", "other.json:~b", "+other.json.x=1")),
        (MODULE, ("lr=7",)),
        (PLUGIN, ("+n=1",)),
    ],
)  # fmt: skip
def test_params_are_composed_as_dvc_composes_them(
    twins: MakeTwins,
    project: MakeProject,
    files: dict[str, str],
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = twins(project(files))
    # DVC finds a module of configurations where Python does; nbexp in the project as well.
    monkeypatch.setenv("PYTHONPATH", str(pair.dvc_side))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    asked = [word for one in words for word in ("-S", one)]
    pair.run(*asked, "-n", "one")
    pair.delete(*(["other.json"] if files is ELSEWHERE else []))
    theirs, ours = ((side / "params.yaml").read_bytes() for side in pair.sides)
    assert ours == theirs
    assert b"lr" in ours or "~lr" in words
    pair.agree_on_files()
    assert pair.look.recorded(pair.nbexp_side).keys() == pair.look.recorded(pair.dvc_side).keys()
    recorded = [pair.look.recorded(side).popitem()[1].tree for side in pair.sides]
    assert recorded[1]["params.yaml"] == recorded[0]["params.yaml"]
    assert recorded[1]["dvc.lock"] == recorded[0]["dvc.lock"]


def test_a_params_file_that_is_new_is_recorded(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(project({path: text for path, text in BASE.items() if path != "params.yaml"}))
    pair.run("-S", "model=big", "-n", "one")
    pair.agree_on_refs()
    pair.agree_on_cache()
    assert "params.yaml" in pair.look.recorded(pair.nbexp_side).popitem()[1].tree


def test_no_hydra_and_repro_leave_params_as_they_are(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Without `--no-hydra` the same run ends otherwise, as the first test has it."""
    files = {**BASE, "params.yaml": "# by hand\nlr: 3\nmodel: mine\n"}
    pair = twins(project(files))
    pair.run("--no-hydra", "-S", "lr=4", "-n", "one")
    pair.agree()
    assert (pair.nbexp_side / "params.yaml").read_text() == "# by hand\nlr: 4\nmodel: mine\n"
    pair.look.dvc("repro", "-f", cwd=pair.dvc_side)
    pair.look.nbexp("repro", "-f", cwd=pair.nbexp_side)
    pair.agree_on_files()
    assert (pair.nbexp_side / "params.yaml").read_text() == "# by hand\nlr: 4\nmodel: mine\n"
    pair.run("-n", "two")
    pair.agree_on_files()
    assert (pair.nbexp_side / "params.yaml").read_text().startswith("model:\n  name: small\n")


def test_in_a_sub_directory_its_own_params_are_composed(
    twins: MakeTwins, project: MakeProject
) -> None:
    pair = twins(project({**BASE, "sub/dvc.yaml": _STAGE, "sub/params.yaml": "lr: 1\nmodel: 2\n"}))
    pair.run("-S", "model=big", "-n", "one", cwd="sub")
    pair.agree_on_files()
    assert (pair.nbexp_side / "sub/params.yaml").read_text() == "model:\n  name: big\n  depth: 8\nlr: 0.1\n"  # fmt: skip
    assert (pair.nbexp_side / "params.yaml").read_text() == "# by hand\nold: 1\n"


def test_what_cannot_be_composed_is_refused_by_both(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(project(BASE))
    before = [pair.look.files(side) for side in pair.sides]
    for word in ("model=huge", "lrr=1", "+lr=1", "~zz", "lr=${nope}", "model=null", "model.x=1"):
        pair.look.dvc("exp", "run", "-S", word, cwd=pair.dvc_side, code=255)
        ran = pair.look.nbexp("run", "-S", word, cwd=pair.nbexp_side, code=None)
        assert ran.returncode in {2, 3}
        assert "Nothing was run." in ran.stderr
    assert [pair.look.files(side) for side in pair.sides] == before


def test_a_run_beside_the_workspace_is_composed_as_well(
    twins: MakeTwins, project: MakeProject
) -> None:
    """The workspace keeps its params; a configuration that Git does not know yet counts, as with DVC."""
    pair = twins(project(BASE))
    pair.write("conf/model/new.yaml", "name: new\n")
    pair.run("--temp", "-S", "model=new", "-n", "one")
    trees = [pair.look.recorded(side).popitem()[1].tree for side in pair.sides]
    assert trees[1]["params.yaml"] == trees[0]["params.yaml"]
    assert trees[1]["dvc.lock"] == trees[0]["dvc.lock"]
    pair.agree_on_files()
    assert (pair.nbexp_side / "params.yaml").read_text() == "# by hand\nold: 1\n"


def test_from_another_version_its_configurations_are_composed(
    project: MakeProject, look: Look
) -> None:
    root = project(BASE)
    (root / "conf/model/big.yaml").write_text("name: bigger\n")
    (root / "conf/model/small.yaml").unlink()
    look.git("commit", "--quiet", "--all", "--message=later", cwd=root)
    look.nbexp("run", "--temp", "--baseline", "HEAD~1", "-S", "model=big", "-n", "one", cwd=root)
    look.nbexp("run", "--temp", "--baseline", "HEAD~1", "-n", "two", cwd=root)
    found = look.experiments(root)
    texts = {
        name.rpartition("/")[2]: look.git("show", f"{rev}:params.yaml", cwd=root)
        for name, rev in found.items()
    }
    assert texts == {
        "one": "model:\n  name: big\n  depth: 8\nlr: 0.1",
        "two": "model:\n  name: small\n  depth: 2\nlr: 0.1",
    }


def test_a_queued_sweep_is_composed_for_each_point(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    """When it is asked for, as with DVC: what becomes of the configurations later is not in it."""
    pair = twins(project({**BASE, "other.json": '{"seed": 0}'}))
    words = ("-S", "model=small,big", "-S", "lr=0.5", "-S", "other.json:seed=1,2", "-n", "s")
    look.dvc("exp", "run", "--queue", *words, cwd=pair.dvc_side)
    look.nbexp("run", "--queue", *words, cwd=pair.nbexp_side)
    pair.write("conf/config.yaml", "broken: [\n")
    look.dvc("exp", "run", "--run-all", cwd=pair.dvc_side)
    look.nbexp("run", "--run-all", cwd=pair.nbexp_side)
    names = {"s-1", "s-2", "s-3", "s-4"}
    theirs, ours = (
        {name.rpartition("/")[2]: one.tree for name, one in pair.look.recorded(side).items()}
        for side in pair.sides
    )
    assert theirs.keys() == ours.keys() == names
    for name in names:
        # DVC lays a JSON file out anew.
        for path in ("params.yaml", "dvc.lock"):
            assert ours[name][path] == theirs[name][path], (name, path)
    assert len({ours[name]["params.yaml"] for name in names}) == 2
    assert (pair.nbexp_side / "params.yaml").read_text() == "# by hand\nold: 1\n"


def test_a_queued_run_is_edited_by_composing_again(project: MakeProject, look: Look) -> None:
    root = project(BASE)
    look.nbexp("run", "--queue", "-S", "lr=0.5", "-n", "one", cwd=root)
    look.nbexp("queue", "edit", "one", "-S", "model=big", cwd=root)
    look.nbexp("run", "--run-all", cwd=root)
    (rev,) = look.experiments(root).values()
    expected = "model:\n  name: big\n  depth: 8\nlr: 0.5"
    assert look.git("show", f"{rev}:params.yaml", cwd=root) == expected
    refused = look.nbexp("clone", "one", "--queue", "-S", "model=small", cwd=root, code=2)
    assert "goes on from values that are composed already. Nothing was queued." in refused.stderr
    look.nbexp("clone", "one", "--queue", "-S", "lr=0.7", "-n", "two", cwd=root)
    look.nbexp("run", "--run-all", cwd=root)
    found = {name.rpartition("/")[2]: rev for name, rev in look.experiments(root).items()}
    text = look.git("show", f"{found['two']}:params.yaml", cwd=root)
    assert text == expected.replace("0.5", "0.7")


def test_a_sweep_that_is_waited_for_is_composed_for_each_point(
    project: MakeProject, look: Look
) -> None:
    root = project(BASE)
    look.nbexp("run", "-S", "model=small,big", "-S", "lr=0.5", "-n", "s", cwd=root)
    texts = {
        name.rpartition("/")[2]: look.git("show", f"{rev}:params.yaml", cwd=root)
        for name, rev in look.experiments(root).items()
    }
    assert texts == {
        "s-1": "model:\n  name: small\n  depth: 2\nlr: 0.5",
        "s-2": "model:\n  name: big\n  depth: 8\nlr: 0.5",
    }
