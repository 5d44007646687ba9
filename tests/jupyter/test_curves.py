"""The curves of what a run logs."""

from __future__ import annotations

import math

from nbexp.jupyter import curves
from nbexp.pipeline.standing import Curve


def curve(*values: float) -> Curve:
    return Curve([float(n) for n in range(1, len(values) + 1)], list(values))


def test_one_point_is_no_curve() -> None:
    assert curves.draw({("train", "acc"): curve(0.5)}) is None


def test_a_chart_says_its_name_its_last_value_and_its_range() -> None:
    picture = curves.draw({("train", "acc"): curve(0.5, 0.75, 0.625)})
    assert picture is not None
    assert picture.words == "acc: 0.625 at step 3"
    for text in ("acc", "0.625", "0.5 to 0.75", "step 3"):
        assert f">{text}</text>" in picture.svg
    assert picture.svg.count("<polyline") == 1


def test_stages_that_log_the_same_share_a_chart() -> None:
    picture = curves.draw({("a", "acc"): curve(0.5, 0.6), ("b", "acc"): curve(0.7, 0.8)})
    assert picture is not None
    assert picture.words == "acc: a 0.6 at step 2, b 0.8 at step 2"
    assert picture.svg.count("<polyline") == 2
    assert picture.svg.count("<rect") == 1


def test_a_long_curve_keeps_its_peaks_and_its_size() -> None:
    values = [math.sin(n / 3000) for n in range(20_000)]
    values[12_345] = 9.0
    thin = curves.thinned([float(n) for n in range(20_000)], values)
    assert len(thin) <= 4 * 180
    assert (12_345.0, 9.0) in thin
    assert thin[0] == (0.0, values[0])
    assert thin[-1] == (19_999.0, values[-1])
    picture = curves.draw({("train", "acc"): curve(*values)})
    assert picture is not None
    assert len(picture.svg) < 12_000


def test_a_constant_is_a_line_and_names_are_text_only() -> None:
    picture = curves.draw({("t", "<script>x</script>"): curve(1.0, 1.0)})
    assert picture is not None
    assert "nan" not in picture.svg
    assert "<script" not in picture.svg
    assert "<script" not in picture.img()
