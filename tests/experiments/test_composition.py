"""Composing params with Hydra: what is asked of it, and what a mistake is told as."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbexp.errors import NbexpError
from nbexp.experiments import composition
from nbexp.overrides import parse

CONFIG = "defaults:\n  - model: small\n  - _self_\nlr: 0.1\nname: ${model.name}-x\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            ".dvc/config": "[hydra]\n    enabled = true\n",
            "conf/config.yaml": CONFIG,
            "conf/model/small.yaml": "name: small\ndepth: 2\n",
            "conf/model/big.yaml": "name: big\ndepth: 8\n",
        },
    )
    return tmp_path


def write(root: Path, files: dict[str, str | bytes]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())


def composed(root: Path, *items: str) -> str | None:
    return composition.compose(root, ".", parse(items)[0])


def test_a_group_is_swapped_and_a_key_added(root: Path) -> None:
    assert composed(root, "model=big", "lr=0.5", "+extra=1") == (
        "model:\n  name: big\n  depth: 8\nlr: 0.5\nname: big-x\nextra: 1\n"
    )


def test_what_is_of_another_file_does_not_go_into_it(root: Path) -> None:
    assert composed(root, "other.json:nope=1") == composed(root)


def test_letters_that_hydra_does_not_know_go_into_it(root: Path) -> None:
    assert str(composed(root, "name=Zürich")).endswith("name: Zürich\n")


def test_the_points_of_a_sweep_are_composed_at_once_and_each_once(root: Path) -> None:
    points = parse(["model=small,big", "other.json:seed=range(3)"])
    found = composition.compose_all(root, ".", points)
    assert found is not None
    assert [text.count("big-x") for text in found] == [0, 0, 0, 1, 1, 1]
    # The resolver counts how often it is asked.
    write(
        root,
        {
            "hydra_plugins/count/__init__.py": (
                "import itertools\nfrom omegaconf import OmegaConf\n"
                "numbers = itertools.count()\n"
                "OmegaConf.register_new_resolver('count', lambda: next(numbers))\n"
            ),
            "conf/config.yaml": CONFIG + "asked: ${count:}\n",
        },
    )
    found = composition.compose_all(root, ".", points)
    assert found is not None
    assert [text.splitlines()[-1] for text in found] == ["asked: 0"] * 3 + ["asked: 1"] * 3


def test_where_it_is_off_nothing_is_composed_and_hydra_is_not_loaded(root: Path) -> None:
    (root / ".dvc/config").write_text("")
    assert composed(root, "model=big") is None
    code = (
        "import sys; from pathlib import Path; from nbexp.experiments import composition\n"
        f"composition.compose(Path({str(root)!r}), '.', ())\n"
        "print(sorted({'hydra', 'omegaconf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_cell_that_uses_hydra_itself_does_not_meet_it(root: Path) -> None:
    """What a kernel has registered is not in the composition, and its Hydra stays as it was set up."""
    code = (
        "from pathlib import Path\nfrom hydra import compose, initialize_config_dir\n"
        "from omegaconf import OmegaConf\nfrom nbexp.experiments import composition\n"
        f"root = Path({str(root)!r})\n"
        "OmegaConf.register_new_resolver('mine', lambda: 1)\n"
        "initialize_config_dir(str(root / 'conf' / 'model'), version_base=None)\n"
        "try:\n    composition.compose(root, '.', ())\n"
        "except composition.ProjectFileError as error:\n    print(error.message)\n"
        "print(compose('big').depth)\n"
    )
    (root / "conf/config.yaml").write_text("x: ${mine:}\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "conf/config.yaml, line 1: `x` cannot be resolved: Unsupported interpolation type mine. Nothing was run.\n8\n"
    )


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "model=hugee",
            "No configuration `hugee` in conf/model, for `model=hugee`. Nothing was run.\nHint: conf/model has `big`, `small`.",
        ),
        (
            "model=bog",
            (
                "No configuration `bog` in conf/model, for `model=bog`. Nothing was run.\n"
                "Hint: did you mean `big`? conf/model has `big`, `small`."
            ),
        ),
        (
            "lrr=1",
            (
                "No param `lrr` in what is composed of conf/config.yaml. Nothing was run.\n"
                "Hint: did you mean `lr`? A new one is added with a plus: `nbexp run -S +lrr=1`."
            ),
        ),
        (
            "model.deptth=3",
            (
                "No param `model.deptth` in what is composed of conf/config.yaml. Nothing was run.\n"
                "Hint: did you mean `model.depth`? A new one is added with a plus: `nbexp run -S +model.deptth=3`."
            ),
        ),
        (
            "modell=big",
            (
                "No param `modell` in what is composed of conf/config.yaml. Nothing was run.\n"
                "Hint: did you mean `model`? A new one is added with a plus: `nbexp run -S +modell=big`."
            ),
        ),
        (
            "+lr=1",
            (
                "`lr` is in what is composed of conf/config.yaml already. Nothing was run.\n"
                "Hint: without the plus it is changed: `nbexp run -S lr=1`."
            ),
        ),
        (
            "~zz",
            (
                "No param `zz` in what is composed of conf/config.yaml. Nothing was run.\n"
                "Hint: conf/config.yaml says what there is."
            ),
        ),
        (
            "~lr=5",
            (
                "`lr` is 0.1 in what is composed of conf/config.yaml, not what `~lr=5` says. Nothing was run.\n"
                "Hint: `nbexp run -S '~lr'` removes it whatever it is."
            ),
        ),
        (
            "lr=${nope}",
            (
                "`lr=${nope}` cannot be resolved: there is no `nope` in what is composed. Nothing was run.\n"
                "Hint: `${key}` stands for the value of another param."
            ),
        ),
        (
            "model=null",
            (
                "`model=null` chooses none of the configurations of conf/model. Nothing was run.\n"
                "Hint: conf/model has `big`, `small`; `nbexp run -S '~model'` chooses none."
            ),
        ),
        (
            "a b=1",
            (
                "`a b=1` cannot be composed: Hydra does not read it. Nothing was run.\n"
                "Hint: keys are names with dots, text with grammar in it stands in quotes."
            ),
        ),
    ],
)
def test_an_override_that_does_not_fit_is_told_with_what_there_is(
    root: Path, item: str, message: str
) -> None:
    with pytest.raises(NbexpError) as caught:
        composed(root, item)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "conf/model/bad.yaml",
            "a: [1\nb: 2\n",
            "conf/model/bad.yaml, line 2: expected ',' or ']', but got ':'. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            "x: 1\ndefaults: [nothere]\n",
            "conf/model/bad.yaml, line 2: there is no configuration `model/nothere`. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            "name: ${y}\n",
            "conf/model/bad.yaml, line 1: `${y}` refers to a param that the composition does not have. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            "name: ${.z}\nz: ${.name}\n",
            "conf/model/bad.yaml, line 1: `model.name` cannot be resolved: Recursive interpolation detected. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            "name: 1\nx: ${mul:1,2}\n",
            "conf/model/bad.yaml, line 2: `model.x` cannot be resolved: Unsupported interpolation type mul. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            "name: ${oc.env:NOT_SET_ANYWHERE}\n",
            "conf/model/bad.yaml, line 1: the environment variable `NOT_SET_ANYWHERE` is not set. Nothing was run.",
        ),
        (
            "conf/model/bad.yaml",
            b"a: 1\nx: \xff\n",
            "conf/model/bad.yaml, line 2: this is not UTF-8. Nothing was run.",
        ),
        (
            "hydra_plugins/broken/__init__.py",
            "import os\nos._exit(7)\n",
            "conf/config.yaml: composing stopped (exit code 7): nothing was said. Nothing was run.",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(
    root: Path, file: str, text: str | bytes, message: str
) -> None:
    write(root, {file: text})
    with pytest.raises(NbexpError) as caught:
        composed(root, *(["model=bad"] if file.startswith("conf") else []))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "config_dir = nowhere",
            ".dvc/config: `hydra.enabled` is on and there is no folder nowhere to compose params.yaml of. Nothing was run.",
        ),
        (
            "config_name = confg",
            ".dvc/config: there is no configuration conf/confg.yaml to begin with. Nothing was run.",
        ),
        (
            "config_module = no.such.module",
            ".dvc/config: `hydra.config_module` names no.such.module, which cannot be imported. Nothing was run.",
        ),
        (
            "config_module = a\n    config_dir = b",
            ".dvc/config: `hydra.config_dir` and `hydra.config_module` cannot both be set.",
        ),
    ],
)
def test_a_setting_that_leads_nowhere_is_named(root: Path, config: str, message: str) -> None:
    (root / ".dvc/config").write_text(f"[hydra]\n    enabled = true\n    {config}\n")
    with pytest.raises(NbexpError) as caught:
        composed(root)
    assert caught.value.message == message


def test_a_choice_of_a_group_is_refused_where_values_are_composed_already(root: Path) -> None:
    with pytest.raises(NbexpError) as caught:
        composition.refuse_choices(root, parse(["lr=1", "model=big"])[0], "Nothing was run.")
    assert str(caught.value) == (
        "`model=big` chooses a configuration of conf/model; this goes on from values that are composed already. "
        "Nothing was run.\nHint: `nbexp run -S model=big` composes anew."
    )
    composition.refuse_choices(root, parse(["lr=1"])[0], "")
