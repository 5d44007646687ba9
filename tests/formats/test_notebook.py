from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import ProjectFileError
from nbexp.formats import notebook


def code(
    source: str, *outputs: dict[str, Any], tags: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    metadata = {"tags": list(tags)} if tags else {}
    count = 7 if outputs else None
    cell = {"cell_type": "code", "metadata": metadata, "source": source, "outputs": list(outputs)}
    return cell | {"execution_count": count} | more


def text(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source} | more


def book(*cells: dict[str, Any], minor: int = 5, **metadata: Any) -> bytes:
    named = [{"id": f"id-{n}", **cell} if minor >= 5 else cell for n, cell in enumerate(cells, 1)]
    return json.dumps(
        {"cells": named, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}
    ).encode()


PYTHON = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


def stream(value: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": value}


def result(**data: Any) -> dict[str, Any]:
    bundle = {mime.replace("_", "/"): value for mime, value in data.items()}
    return {"output_type": "execute_result", "data": bundle, "metadata": {}, "execution_count": 7}


def canonical_outputs(*outputs: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    data = notebook.canonical(book(code("x", *outputs)), **options)
    return json.loads(data)["cells"][0]["outputs"]


def shown(*outputs: dict[str, Any], **options: Any) -> str:
    """The text of the only stream that is left."""
    (output,) = canonical_outputs(*outputs, **options)
    return "".join(output["text"])


# ---- reading


def test_a_cell_has_the_number_that_in_n_shows() -> None:
    data = book(text("# Title"), code("a = 1"), code("  \n"), text("prose"), code("b = 2"))
    found = notebook.read(data)
    assert [(cell.number, cell.index, cell.source) for cell in found.cells] == [
        (1, 1, "a = 1"),
        (2, 4, "b = 2"),
    ]


def test_an_injected_cell_has_no_number() -> None:
    data = book(
        code("a = 1", tags=("parameters",)), code("a = 2", tags=("injected-parameters",)), code("b")
    )
    assert [cell.source for cell in notebook.read(data).cells] == ["a = 1", "b"]


def test_source_may_be_a_list_of_lines() -> None:
    data = book(code(["a = 1\n", "b = 2"]))  # type: ignore[arg-type]
    assert notebook.read(data).cells[0].source == "a = 1\nb = 2"


def test_kernel_and_language_are_those_of_the_file() -> None:
    found = notebook.read(book(**PYTHON))
    assert (found.kernel, found.language, found.is_python) == ("python3", "python", True)
    assert (notebook.read(book()).kernel, notebook.read(book()).is_python) == (None, True)


def test_a_notebook_of_format_3_is_read() -> None:
    cell = {
        "cell_type": "code",
        "input": ["x = 1\n", "y = 2"],
        "language": "python",
        "metadata": {},
    }
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "old"}}
    data = json.dumps({**old, "worksheets": [{"cells": [cell | {"outputs": []}], "metadata": {}}]})
    assert notebook.read(data.encode()).cells[0].source == "x = 1\ny = 2"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "train.ipynb: this is no notebook (the file is empty)."),
        (b"x = 1\n", "train.ipynb: this is no notebook (not JSON: Expecting value)."),
        (b"\xff\xfe{}", "train.ipynb: this is no notebook (not UTF-8)."),
        (b"[]", "train.ipynb: this is no notebook (it has no `nbformat`)."),
        (b'{"nbformat": 4}', "train.ipynb: this is no notebook (it has no list of cells)."),
        (
            b'{"nbformat": 9, "cells": []}',
            "train.ipynb: the notebook has format 9; the newest one known here is 4.",
        ),
        (b"[" * 100_000, "train.ipynb: this is no notebook (nested too deep)."),
    ],
)
def test_what_is_no_notebook_is_said(data: bytes, message: str) -> None:
    with pytest.raises(ProjectFileError) as error:
        notebook.read(data, "train.ipynb")
    assert error.value.message == message


def test_conflict_markers_are_named() -> None:
    data = b'{\n<<<<<<< HEAD\n "cells": []\n=======\n>>>>>>> other\n}'
    with pytest.raises(ProjectFileError) as error:
        notebook.read(data, "train.ipynb")
    assert (
        error.value.message == "train.ipynb, line 2: the notebook has Git's conflict markers in it."
    )


# ---- parameters


def test_the_tagged_cell_gives_names_types_and_defaults() -> None:
    source = 'lr = 0.1\nepochs: int = 10\nname = "a"\nlayers = [8, 8]\nflag, rate = True, -1\n'
    found = notebook.parameters(notebook.read(book(text("x"), code(source, tags=("parameters",)))))
    assert (found.cell, found.index, found.tagged) == (1, 1, True)
    assert [(item.name, item.value, item.type) for item in found.items] == [
        ("lr", 0.1, "float"),
        ("epochs", 10, "int"),
        ("name", "a", "str"),
        ("layers", [8, 8], "list"),
        ("flag", True, "bool"),
        ("rate", -1, "int"),
    ]


def test_a_default_that_is_computed_has_a_name_and_no_value() -> None:
    source = "%matplotlib inline\nsteps = 10 ** 3\npath: str = data.home()\nsteps2 = None"
    found = notebook.parameters(notebook.read(book(code(source, tags=("parameters",)))))
    assert found.names == ("steps", "path", "steps2")
    first, second, third = found.items
    assert (first.is_literal, first.text) == (False, "10 ** 3")
    assert (second.is_literal, second.type) == (False, "str")
    assert (third.is_literal, third.value, third.type) == (True, None, "NoneType")


def test_the_last_assignment_of_a_name_counts() -> None:
    found = notebook.parameters(notebook.read(book(code("a = 1\na = 2", tags=("parameters",)))))
    assert [(item.name, item.value) for item in found.items] == [("a", 2)]


def test_without_a_tag_the_literals_of_the_first_cell_are_a_candidate() -> None:
    found = notebook.parameters(
        notebook.read(book(code("import os\nlr = 0.1\nhere = os.getcwd()")))
    )
    assert (found.names, found.cell, found.tagged) == (("lr",), 1, False)


def test_a_notebook_without_either_takes_nothing() -> None:
    found = notebook.parameters(notebook.read(book(code("import os"), code("lr = 0.1"))))
    assert (found.names, found.cell, found.index) == ((), None, None)


def test_a_tagged_cell_may_be_empty() -> None:
    found = notebook.parameters(notebook.read(book(code("", tags=("parameters",)), code("x = 1"))))
    assert (found.names, found.cell, found.index, found.tagged) == ((), None, 0, True)


def test_a_cell_in_another_language_is_read_line_by_line() -> None:
    source = "lr <- 0.1  # the rate\nverbose <- TRUE\nname = 'a'\nval n = 3;\nlayers <- c(1, 2)"
    data = book(code(source, tags=("parameters",)), kernelspec={"name": "ir", "language": "R"})
    items = notebook.parameters(notebook.read(data)).items
    assert [(item.name, item.value, item.is_literal) for item in items] == [
        ("lr", 0.1, True),
        ("verbose", True, True),
        ("name", "a", True),
        ("n", 3, True),
        ("layers", None, False),
    ]


# ---- Python in cells


@pytest.mark.parametrize(
    "source",
    [
        "!pip install x\nimport a",
        "%load_ext nbexp\nimport a",
        "files = !ls\nimport a",
        "t = %timeit -o f()\nimport a",
        "for x in y:\n    !echo {x}\nimport a",
        "%%time\nimport a",
        "help?\nimport a",
        "await f()\nimport a",
    ],
)
def test_magics_do_not_hide_the_python_around_them(source: str) -> None:
    tree = notebook.syntax(source)
    assert tree is not None
    assert any(node.__class__.__name__ == "Import" for node in tree.body)


@pytest.mark.parametrize("source", ["%%bash\nimport a", "%%html\n<b>", "x = = 1", "\0"])
def test_what_is_not_python_has_no_syntax(source: str) -> None:
    assert notebook.syntax(source) is None


# ---- identity


BASE = (text("# Title"), code("lr = 0.1", tags=("parameters",)), code("print(lr)"))


@pytest.mark.parametrize(
    "other",
    [
        book(*BASE, code(""), **PYTHON, title="new", authors=["a"]),
        book(text("other prose"), *BASE[1:], text("more"), **PYTHON),
        book(
            *BASE[:2],
            code("print(lr)\n", stream("0.1\n")),
            **PYTHON,
            language_info={"name": "python"},
        ),
        book(*BASE, minor=4, **PYTHON),
        book(*BASE[:2], code(["print(lr)"]), **PYTHON),  # type: ignore[arg-type]
        book(*BASE[:2], code("print(lr)", tags=("hide-input",)), **PYTHON),
    ],
)
def test_prose_outputs_and_metadata_leave_the_identity(other: bytes) -> None:
    assert notebook.identity(other) == notebook.identity(book(*BASE, **PYTHON))


@pytest.mark.parametrize(
    "other",
    [
        book(*BASE[:2], code("print(lr + 1)"), **PYTHON),
        book(*BASE, code("x"), **PYTHON),
        book(BASE[0], BASE[2], BASE[1], **PYTHON),
        book(BASE[0], code("lr = 0.1"), BASE[2], **PYTHON),
        book(*BASE[:2], code("print(lr)", tags=("skip-execution",)), **PYTHON),
        book(*BASE, kernelspec={"name": "ir"}),
        book(*BASE[:2], text("print(lr)"), **PYTHON),
    ],
)
def test_code_its_order_its_tags_and_the_kernel_are_the_identity(other: bytes) -> None:
    assert notebook.identity(other) != notebook.identity(book(*BASE, **PYTHON))


# ---- the canonical form


def executed(seconds: str, pid: str) -> bytes:
    """A run as papermill leaves it; two runs differ in everything that time and chance give."""
    ran = {"papermill": {"duration": float(seconds), "start_time": f"2026-01-01T00:00:{seconds}"}}
    timing = {"execution": {"iopub.status.busy": f"2026-01-01T00:00:{seconds}"}}
    cells = [
        code("lr = 0.1", tags=("parameters",), id="p", execution_count=1),
        code("lr = 0.2", tags=("injected-parameters",), id=f"rand{pid}", execution_count=2),
        code(
            "f()",
            stream(f"/tmp/ipykernel_{pid}/1234.py:1: UserWarning: odd\n", "stderr"),
            stream("done\n"),
            result(text_plain=f"<__main__.Model at 0x7f{pid}aa>"),
            id="f",
        ),
    ]
    for cell in cells:
        cell["metadata"] = cell["metadata"] | ran | timing
    about = {
        "parameters": {"lr": 0.2},
        "duration": float(seconds),
        "input_path": f"/w{pid}/in.ipynb",
    }
    info = {"name": "python", "version": "3.11.7"}
    return book(*cells, papermill=about, language_info=info, **PYTHON)


def test_two_runs_that_did_the_same_are_equal_bytes() -> None:
    one, other = (
        notebook.canonical(executed("01", "4711")),
        notebook.canonical(executed("12", "1234")),
    )
    assert one == other
    assert one.endswith(b"}\n")
    assert not one.endswith(b"\n\n")


def test_the_canonical_form_is_a_valid_notebook_with_its_results() -> None:
    node = nbformat.reads(notebook.canonical(executed("01", "4711")).decode(), as_version=4)
    nbformat.validate(node)
    assert node.metadata.papermill == {"parameters": {"lr": 0.2}}
    assert node.metadata.language_info == {"name": "python"}
    assert node.cells[2].outputs[2].data["text/plain"] == "<__main__.Model at 0x0>"
    assert node.cells[2].outputs[1].text == "ipykernel/1234.py:1: UserWarning: odd\n"


def test_counts_are_the_numbers_of_cells_and_absent_where_none_ran() -> None:
    data = book(
        code("a", stream("x"), execution_count=40),
        code("b", tags=("injected-parameters",), execution_count=41),
        code("c", result(text_plain="1"), execution_count=42),
        code("d"),
    )
    cells = json.loads(notebook.canonical(data))["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, None, 2, None]
    assert cells[2]["outputs"][0]["execution_count"] == 2


def test_ids_come_back_from_the_source_and_else_from_the_place() -> None:
    source = book(code("a", id="first"), code("b"), minor=5)
    without = json.loads(source)
    del without["cells"][1]["id"]
    run = book(
        code("a", id="x1"), code("p", tags=("injected-parameters",), id="x2"), code("b", id="x3")
    )
    data = notebook.canonical(run, source=json.dumps(without).encode())
    assert [cell["id"] for cell in json.loads(data)["cells"]] == [
        "first",
        "injected-parameters",
        "cell-2",
    ]


def test_a_format_without_ids_gets_none() -> None:
    cells = json.loads(notebook.canonical(book(code("a"), minor=4)))["cells"]
    assert "id" not in cells[0]


def test_pieces_of_a_stream_are_one_and_stdout_comes_first() -> None:
    outputs = canonical_outputs(
        stream("a\n"), stream("w1\n", "stderr"), stream("b\n"), stream("w2\n", "stderr"),
        result(text_plain="1"), stream("c\n"),
    )  # fmt: skip
    assert [(output.get("name"), output.get("text")) for output in outputs] == [
        ("stdout", ["a\n", "b\n"]),
        ("stderr", ["w1\n", "w2\n"]),
        (None, None),
        ("stdout", ["c\n"]),
    ]


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("\r 10%\r 50%\r100%\ndone\n", "100%\ndone\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("abc\b\bx", "ax"),
        ("work\r    \r", ""),
        ("\r0/2\n\r0/9\x1b[A\n\r9/9\x1b[A\r2/2\n\n", "2/2\n9/9\n"),
        ("no bar\n", "no bar\n"),
    ],
)
def test_of_a_progress_bar_the_last_state_is_left(written: str, left: str) -> None:
    outputs = canonical_outputs(stream(written))
    assert "".join("".join(output["text"]) for output in outputs) == left


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("100%|████| 10/10 [00:01<00:00,  9.81it/s]\n", "100%|████| 10/10\n"),
        ("7it [1:02:03, 1.20s/it, loss=0.5]\n", "7it [loss=0.5]\n"),
        ("CPU times: user 3 ms, sys: 0 ns\nWall time: 3.1 ms\n", "CPU times: -\nWall time: -\n"),
        (
            "1.2 µs ± 3 ns per loop (mean ± std. dev. of 7 runs, 100 loops each)\n",
            "- per loop\n",
        ),
        ("938/938 ━━━━ 2s 1ms/step - acc: 0.9\n", "938/938 ━━━━ - acc: 0.9\n"),
        ("<a.B object at 0x7f00deadbeef>\n", "<a.B object at 0x0>\n"),
        ("offset 0x7f00deadbeef [1, 2, 3]\n", "offset 0x7f00deadbeef [1, 2, 3]\n"),
        (
            'File "/opt/env/lib/python3.11/site-packages/pandas/a.py", line 1\n',
            'File "site-packages/pandas/a.py", line 1\n',
        ),
    ],
)
def test_times_addresses_and_the_environments_place_go(written: str, left: str) -> None:
    assert shown(stream(written)) == left


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("/srv/work/churn/data/a.csv\n", "data/a.csv\n"),
        ("in /srv/work/churn\n", "in .\n"),
        ("file:///srv/work/churn/a.csv\n", "file://a.csv\n"),
        ("/srv/work/churn2/a.csv\n", "/srv/work/churn2/a.csv\n"),
        ("/mnt/srv/work/churn/a.csv\n", "/mnt/srv/work/churn/a.csv\n"),
        ("File \x1b[32m/srv/work/churn/a.py:3\x1b[39m\n", "File \x1b[32ma.py:3\x1b[39m\n"),
    ],
)
def test_paths_of_the_workspace_are_relative(written: str, left: str) -> None:
    assert shown(stream(written), folders=["/srv/work/churn"]) == left


def test_a_workspace_below_home_is_known_as_ipython_shortens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    written = "File ~/churn/a.py:3, in f()\n"
    assert shown(stream(written), folders=["/home/ada/churn"]) == "File a.py:3, in f()\n"


def test_errors_that_were_expected_are_cleaned_too() -> None:
    error = {
        "output_type": "error",
        "ename": "E",
        "evalue": "in /srv/w/a",
        "traceback": ["/srv/w/a.py"],
    }
    (output,) = canonical_outputs(error, folders=["/srv/w"])
    assert (output["evalue"], output["traceback"]) == ("in a", ["a.py"])


def test_random_ids_in_html_count_instead() -> None:
    def html(one: str, other: str, style: str) -> str:
        return (
            f'<div id="altair-viz-{one}"></div><p id="{other}"></p><style>#T_{style}_row0 {{}}</style>'
            f'<table id="T_{style}"></table><script>f("#altair-viz-{one}", "{other}")</script>'
        )

    first = html("0af1" * 8, "a1b2c3d4-0000-4000-8000-00000000000f", "3fa0c")
    second = html("bb02" * 8, "00b2c3d4-1111-4000-8000-00000000000f", "00111")
    one, other = (canonical_outputs(result(text_html=data)) for data in (first, second))
    assert one == other
    (line,) = one[0]["data"]["text/html"]
    assert 'id="altair-viz-00000000000000000000000000000000"' in line
    assert "#T_00002_row0 {}" in line


def test_ids_and_dates_of_a_drawing_go() -> None:
    def svg(salt: str, date: str) -> str:
        return f'<dc:date>{date}</dc:date><clipPath id="p{salt}"/><g clip-path="url(#p{salt})"/>'

    key = "image/svg+xml"
    outputs = [
        canonical_outputs({"output_type": "display_data", "data": {key: drawn}, "metadata": {}})
        for drawn in (svg("0a1b2c3d4e", "2026-01-01"), svg("ffffffff00", "2026-02-02"))
    ]
    assert outputs[0] == outputs[1]
    assert "".join(outputs[0][0]["data"][key]).endswith('url(#p0000000000)"/>')


def test_widgets_get_new_ids_everywhere() -> None:
    def widgets(view: str, layout: str, speed: str) -> bytes:
        shown_widget = {"application/vnd.jupyter.widget-view+json": {"model_id": view}}
        shown_widget["text/plain"] = "bar"  # type: ignore[assignment]
        state = {
            layout: {"model_name": "LayoutModel", "state": {}},
            view: {
                "model_name": "HTMLModel",
                "state": {
                    "layout": f"IPY_MODEL_{layout}",
                    "value": f" 3/3 [00:01<00:00, {speed}it/s]",
                },
            },
        }
        output = {"output_type": "display_data", "data": shown_widget, "metadata": {}}
        kept = {"application/vnd.jupyter.widget-state+json": {"state": state}}
        return book(code("x", output), widgets=kept)

    one = notebook.canonical(widgets("ab" * 16, "01" * 16, "5.1"))
    other = notebook.canonical(widgets("00" * 16, "fe" * 16, "4.9"))
    assert one == other
    assert f"IPY_MODEL_{1:032x}".encode() in one
    assert b'"value": " 3/3"' in one


def test_binary_outputs_and_attachments_stay_as_they_are() -> None:
    picture = {
        "output_type": "display_data",
        "data": {"image/png": "at 0x7f00deadbeef\n"},
        "metadata": {},
    }
    cell = text("![a](attachment:a.png)", attachments={"a.png": {"image/png": "abc"}})
    data = json.loads(notebook.canonical(book(code("x", picture), cell)))
    assert data["cells"][0]["outputs"][0]["data"]["image/png"] == "at 0x7f00deadbeef\n"
    assert data["cells"][1]["attachments"] == {"a.png": {"image/png": "abc"}}


def test_prose_and_code_are_never_cleaned() -> None:
    source = "p = '/srv/w/a'  # at 0x7f00deadbeef [00:01<00:00, 9.81it/s]"
    cell = json.loads(notebook.canonical(book(code(source)), folders=["/srv/w"]))["cells"][0]
    assert cell["source"] == [source]


_pieces = st.sampled_from(
    [
        "a",
        "\n",
        "\r",
        "\b",
        "\x1b[A",
        "at 0x7f00deadbeef",
        " [00:01<00:00, 9.8it/s]",
        "/srv/w/x",
        "é",
    ]
)
_texts = st.lists(_pieces, max_size=12).map("".join)


@given(st.lists(st.tuples(_texts, st.sampled_from(["stdout", "stderr"])), max_size=5), _texts)
def test_the_canonical_form_is_its_own(parts: list[tuple[str, str]], html: str) -> None:
    shown_html = result(text_html=f'<p id="{"ab" * 16}">{html}</p>', text_plain=html)
    data = book(code("x", *(stream(*part) for part in parts), shown_html), text("y"))
    once = notebook.canonical(data, folders=["/srv/w"])
    assert notebook.canonical(once, folders=["/srv/w"]) == once
