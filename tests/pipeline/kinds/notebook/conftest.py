"""way      the test runs once for each way in which a notebook's processes can come to be
choose   takes one of the ways

All tests of this folder have one HOME and one set of variables, as the runs of one user have: what waits for
the next run is then used by the next test, and the fast ways are tested as they are when warm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from nbexp.pipeline.kinds.notebook import starting

# The fork as Linux has it; as other systems have it, where nothing ends with its parent by itself; kernels
# started ahead; papermill's way.
WAYS: Mapping[str, Mapping[str, str]] = {
    "fork": {"NBEXP_KERNELS": "fork"},
    "fork-alone": {"NBEXP_KERNELS": "fork", "NBEXP_PROCESS_CONTROL": "off"},
    "pool": {"NBEXP_KERNELS": "pool"},
    "papermill": {"NBEXP_KERNELS": "papermill"},
}


@pytest.fixture(scope="session")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The variables that name places of the user, the same for all tests here."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    yield {
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": str(folder / ".gitconfig"),
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "XDG_DATA_HOME": str(folder / ".local" / "share"),
        "XDG_STATE_HOME": str(folder / ".local" / "state"),
        "DVC_SITE_CACHE_DIR": str(folder / ".cache" / "dvc-site"),
        "IPYTHONDIR": str(folder / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
    }
    starting.end_all()


@pytest.fixture(autouse=True)
def home(one_home: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests' common HOME."""
    for name, value in one_home.items():
        monkeypatch.setenv(name, value)
    return Path(one_home["HOME"])


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`choose("fork")`: notebooks are run in this way from here on."""

    def choose(name: str) -> None:
        monkeypatch.delenv("NBEXP_PROCESS_CONTROL", raising=False)
        for variable, value in WAYS[name].items():
            monkeypatch.setenv(variable, value)

    return choose


@pytest.fixture(params=sorted(WAYS))
def way(request: pytest.FixtureRequest, choose: Callable[[str], None]) -> str:
    """The name of the way in which this round's notebooks are run."""
    name: str = request.param
    choose(name)
    return name
