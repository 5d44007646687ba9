"""Reading code without running it: which files, which keys, which options."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbexp.pipeline.detection import reading
from nbexp.pipeline.detection.reading import Reading


def read(folder: Path, code: str, words: list[str] | None = None, **files: str) -> Reading:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "step.py").write_text(code)
    return reading.read(folder, "step.py", words)


def files(found: Reading, does: str) -> list[str]:
    return [access.path for access in found.accesses if access.does == does]


def keys(found: Reading) -> list[str]:
    return [f"{key.file}:{key.key}" for key in found.keys]


@pytest.mark.parametrize(
    ("code", "reads", "writes"),
    [
        ("open('a.csv').read()", ["a.csv"], []),
        ("open('a.csv', mode='w')", [], ["a.csv"]),
        ("f = 'a'\nopen(f + '.txt', 'x')", [], ["a.txt"]),
        ("import pandas as pd\npd.read_csv('a.csv').to_parquet('b.parquet')", ["a.csv"], ["b.parquet"]),
        ("from pathlib import Path\nD = Path('data')\n(D / 'x' / 'y.txt').write_text('')", [], ["data/x/y.txt"]),
        ("from pathlib import Path\nPath('a.b').with_suffix('.c').read_text()", ["a.c"], []),
        ("from os.path import join as j\nopen(j('a', 'b'))", ["a/b"], []),
        ("import os\nHERE = os.path.dirname(os.path.abspath(__file__))\nopen(os.path.join(HERE, 'q'))", ["q"], []),
        ("for n in ('train', 'test'):\n    open(f'{n}.csv')", ["train.csv", "test.csv"], []),
        ("for n in range(2):\n    open('p%02d' % n, 'w')", [], ["p00", "p01"]),
        ("open('{}-{x}.csv'.format('a', x=1))", ["a-1.csv"], []),
        ("def save(where, what):\n    open(where, 'w')\nsave('z', 1)\nsave(what=1, where='y')", [], ["z", "y"]),
        ("import numpy as np\nnp.save('w', 1)\nnp.load('w.npy')", ["w.npy"], ["w.npy"]),
        ("import joblib\njoblib.dump({}, 'm.joblib')", [], ["m.joblib"]),
        ("import shutil\nshutil.copy('a.txt', 'out/')", ["a.txt"], ["out/a.txt"]),
        ("class A:\n    def __init__(self, p):\n        self.p = p\n    def go(self):\n        open(self.p)\nA('k').go()", ["k"], []),
        ("import gzip\nwith gzip.open('a.gz', 'wt') as f:\n    pass", [], ["a.gz"]),
        ("open('https://example.org/a')\nopen('/etc/hosts')\nopen('../x')", [], []),
        ("if False:\n    open('never')\nelse:\n    open('always')", ["always"], []),
        ("def unused():\n    open('never')", [], []),
        ("if __name__ == '__main__':\n    open('main')", ["main"], []),
    ],
)  # fmt: skip
def test_files_are_found(tmp_path, code, reads, writes):
    found = read(tmp_path, code)
    assert (files(found, "read"), files(found, "write")) == (reads, writes)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import yaml\np = yaml.safe_load(open('params.yaml'))\nprint(p['a']['b'])", ["params.yaml:a.b"]),
        ("import yaml\nwith open('params.yaml') as f:\n    a = yaml.safe_load(f)['a']\nx = a['c'] + 1", ["params.yaml:a.c"]),
        ("import yaml\np = yaml.safe_load(open('params.yaml'))\nuse(**p['a'])", ["params.yaml:a"]),
        ("import yaml\np = yaml.safe_load(open('params.yaml'))\nx = p.get('a').get('b', 0)", ["params.yaml:a.b"]),
        ("import yaml\np = yaml.safe_load(open('params.yaml'))\nx = p['list'][1]", ["params.yaml:list"]),
        ("from omegaconf import OmegaConf\ncfg = OmegaConf.load('params.yaml')\nx = cfg.a.b", ["params.yaml:a.b"]),
        ("import dvc.api\nx = dvc.api.params_show()['a']['c']", ["params.yaml:a.c"]),
        ("from box import ConfigBox\nimport yaml\nx = ConfigBox(yaml.safe_load(open('params.yaml'))).a.b", ["params.yaml:a.b"]),
        ("from conf import load\nprint(load()['a']['b'])", ["params.yaml:a.b"]),
        ("import yaml\nk = yaml.safe_load(open('params.yaml'))\nx = k['a'][k['pick']]", ["params.yaml:pick", "params.yaml:a"]),
        ("import hydra\n@hydra.main(config_path='.', config_name='params')\ndef main(cfg):\n    x = cfg.a.b\nmain()", ["params.yaml:a.b"]),
    ],
)  # fmt: skip
def test_keys_of_config_files_are_found(tmp_path, code, expected):
    found = read(
        tmp_path,
        code,
        params_yaml="a: {b: 1, c: 2}\nlist: [1, 2]\npick: b\n",
        conf_py="import yaml\ndef load(path='params.yaml'):\n    return yaml.safe_load(open(path))\n",
    )
    assert keys(found) == expected


def test_lines_of_another_python_are_passed_over(tmp_path):
    found = read(tmp_path, "open('a.csv')\nprint 'done'\nopen('b.csv', 'w')\n")
    assert (files(found, "read"), files(found, "write")) == (["a.csv"], ["b.csv"])


def test_options_have_their_defaults_and_what_the_line_says(tmp_path):
    code = (
        "import argparse\n"
        "p = argparse.ArgumentParser()\n"
        "p.add_argument('--data', default='a.csv')\n"
        "p.add_argument('-o', '--out', required=True)\n"
        "p.add_argument('--lr', type=float, default=0.1)\n"
        "a = p.parse_args()\n"
        "open(a.data)\nopen(a.out, 'w')\nprint(a.lr)\n"
    )
    unknown = read(tmp_path, code)
    assert unknown.needs_words
    assert files(unknown, "read") == ["a.csv"]
    known = read(tmp_path, code, ["-o", "b.csv", "--data=c.csv"])
    assert not known.needs_words
    assert (files(known, "read"), files(known, "write")) == (["c.csv"], ["b.csv"])


def test_an_option_for_a_config_file_gets_the_one_there_is(tmp_path):
    code = (
        "import argparse, yaml\n"
        "p = argparse.ArgumentParser()\n"
        "p.add_argument('--config', required=True)\n"
        "c = yaml.safe_load(open(p.parse_args().config))\n"
        "open(c['in'])\n"
    )
    found = read(tmp_path, code, params_yaml="in: x.csv\n")
    assert found.guesses == (("--config", "params.yaml"),)
    assert not found.needs_words
    assert files(found, "read") == ["params.yaml", "x.csv"]


def test_the_reason_is_where_it_is_opened(tmp_path):
    found = read(
        tmp_path, "from tools import put\nput('a')\n", tools_py="def put(p):\n    open(p, 'w')\n"
    )
    assert [(a.path, a.where) for a in found.accesses] == [("a", "tools.py:2")]


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    return f()\nf()",
        "x = []\nx.append(x)\nfor y in x:\n    x.append(y)\nopen(str(x))",
        "while True:\n    open(f'{x}')",
        "a = 'a' * 10 ** 9\nopen(a)",
        "x = 10 ** 10 ** 10",
        "lambda: (yield)",
        "open(*args, **kwargs)\nopen()\n''.join()\n'%d %s' % (1,)\n'{0.x}'.format(1)",
        "import os\nos.path.join()\nos.listdir()\nint('x')\nrange(0, 9, 0)\nzip()\nlen()",
        "from . import nothing\nfrom .. import far\nimport step\nfrom step import *",
        "[" * 90 + "]" * 90,
    ],
)
def test_any_code_can_be_read(tmp_path, code):
    assert isinstance(read(tmp_path, code), Reading)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"def (", b"", b"\0"])
def test_what_is_no_python_has_nothing(tmp_path, data):
    (tmp_path / "step.py").write_bytes(data)
    assert reading.read(tmp_path, "step.py", None).accesses == ()
