from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import ProjectFileError
from nbexp.formats import ini

# ConfigObj itself cannot tell where text in triple quotes ends if that has both kinds of them.
TEXTS = st.text(st.sampled_from("ab ,#='\"[]\\é"), max_size=12).filter(
    lambda text: not ("'''" in text and '"""' in text) and not text.endswith('"')
)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.booleans())
def test_what_is_written_is_read_back(values, as_list):
    listed = [text for text in values if not ("'" in text and '"' in text)]
    value = listed if as_list and listed else values[0]
    document = ini.Document(()).with_setting("core", "name", value)
    again = ini.parse(document.dump(), "config")
    assert again.settings("core")["name"].value == value
    assert again.dump() == document.dump()


def test_text_over_several_lines():
    data = b"[a]\n    x = '''one\ntwo'''    # why\n    y = 2\n"
    document = ini.parse(data, "config")
    assert {name: entry.value for name, entry in document.settings("a").items()} == {
        "x": "one\ntwo",
        "y": "2",
    }
    assert document.dump() == data


def test_comments_of_a_removed_setting_stay():
    document = ini.parse(b"[a]\n# first\nx = 1\n# second\ny = 2\n[b]\nz = 3\n", "config")
    left = document.without([document.settings("a")["x"]])
    assert left.dump() == b"[a]\n    # first\n    # second\n    y = 2\n[b]\n    z = 3\n"
    left = left.without([left.settings("a")["y"]])
    assert left.dump() == b"[a]\n# first\n# second\n[b]\n    z = 3\n"


def test_a_section_twice_is_told_with_its_line():
    with pytest.raises(ProjectFileError) as caught:
        ini.parse(b"[a]\n[b]\n[A]\n", ".dvc/config")
    assert str(caught.value) == ".dvc/config, line 3: section `a` is there a second time."
