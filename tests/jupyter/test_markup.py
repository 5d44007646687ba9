from __future__ import annotations

import xml.etree.ElementTree as ET

from nbexp.jupyter import markup


def test_text_becomes_nothing_but_text() -> None:
    assert markup.escaped("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"


def test_markup_is_not_escaped_again() -> None:
    assert markup.tag("p", markup.tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"


def test_markup_that_went_through_other_hands_is_text_again() -> None:
    bold = markup.tag("b", "x")
    assert markup.escaped(f"{bold}!") == "&lt;b&gt;x&lt;/b&gt;!"


def test_an_attribute_cannot_be_left() -> None:
    element = ET.fromstring(markup.tag("td", "x", title='" onclick="alert(1)'))
    assert element.attrib == {"title": '" onclick="alert(1)'}


def test_attributes_of_none_are_left_out() -> None:
    assert markup.tag("td", "x", title=None, class_="nbexp-n") == '<td class="nbexp-n">x</td>'


def test_numbers_stand_right_even_without_styles() -> None:
    assert 'align="right"' in markup.cell("0.945", is_number=True)
    assert 'align="left"' in markup.cell("low-lr")


def test_a_wide_table_is_scrolled_by_the_keyboard_too() -> None:
    found = ET.fromstring(markup.grid([markup.head("acc")], []))
    assert found.attrib == {"class": "nbexp-scroll", "tabindex": "0"}


def test_a_page_is_kept_from_mathjax() -> None:
    assert "mathjax_ignore" in markup.page("$x$")


def test_colours_come_from_the_page() -> None:
    assert "background:#" not in markup.STYLE
    for name in ("--jp-content-font-color1", "--vscode-editor-foreground"):
        assert name in markup.STYLE
