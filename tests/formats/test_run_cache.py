from __future__ import annotations

import hashlib

from nbexp.formats import run_cache

# The example of DVC's own run in formats.md 4.4.
ENTRY = {
    "cmd": "python src/prep.py",
    "deps": [
        {"path": "data", "hash": "md5", "md5": "1a9776c634d466e89588efc62db0c9ac.dir", "size": 5, "nfiles": 2},
        {"path": "src/prep.py", "hash": "md5", "md5": "151f51a437329ceea28cada53eb540a8", "size": 163},
    ],
    "params": {"params.yaml": {"prep": {"n": 2}}},
    "outs": [
        {"path": "prep", "hash": "md5", "md5": "cfb1650052df897902935323baa8f739.dir", "size": 2, "nfiles": 2}
    ],
}  # fmt: skip


def test_key_and_value_are_those_of_dvc():
    assert (
        run_cache.key(ENTRY) == "e4c4bbdac34f8c1c962209e6b216abc48dd9fb39852bcb2e8a9d5da5da674e13"
    )
    assert (
        run_cache.value(ENTRY) == "cb3d2a671db6d295304d34076cba9b255e6a76c065a63747d1dc5da8b5752b8c"
    )


def test_the_entry_is_left_as_it_was():
    before = repr(ENTRY)
    run_cache.key(ENTRY)
    assert repr(ENTRY) == before


def test_the_key_does_not_depend_on_what_came_out():
    other = {**ENTRY, "outs": [{"path": "prep", "hash": "md5", "md5": "0" * 32}]}
    assert run_cache.key(other) == run_cache.key(ENTRY)
    assert run_cache.value(other) != run_cache.value(ENTRY)


def test_the_key_depends_on_the_command_the_deps_the_params_and_the_names_of_outs():
    others = [
        {**ENTRY, "cmd": "python src/prep.py -v"},
        {**ENTRY, "cmd": ["python src/prep.py"]},
        {**ENTRY, "deps": ENTRY["deps"][:1]},
        {**ENTRY, "params": {"params.yaml": {"prep": {"n": 3}}}},
        {**ENTRY, "outs": [{"path": "other"}]},
    ]
    assert len({run_cache.key(entry) for entry in [ENTRY, *others]}) == 6


def test_sizes_do_not_count_nor_does_the_order_of_keys():
    bare = {
        "outs": [{"md5": "cfb1650052df897902935323baa8f739.dir", "hash": "md5", "path": "prep"}],
        "params": ENTRY["params"],
        "deps": [{**dep, "size": 9} for dep in ENTRY["deps"]],
        "cmd": ENTRY["cmd"],
    }
    assert run_cache.key(bare) == run_cache.key(ENTRY)
    assert run_cache.value(bare) == run_cache.value(ENTRY)


def test_a_param_called_size_does_not_count_either_as_in_dvc():
    one = {"cmd": "x", "params": {"params.yaml": {"size": 1, "lr": 2}}}
    other = {"cmd": "x", "params": {"params.yaml": {"size": 9, "lr": 2}}}
    assert run_cache.key(one) == run_cache.key(other)


def test_odd_values_are_spelled_as_pythons_json_does():
    entry = {"cmd": "é", "params": {"p": {"a": float("nan"), "b": None, "c": (1, True)}}}
    text = '{"cmd": "\\u00e9", "params": {"p": {"a": NaN, "b": null, "c": [1, true]}}}'
    assert run_cache.value(entry) == hashlib.sha256(text.encode()).hexdigest()


def test_a_stage_without_outs_has_a_key():
    assert run_cache.key({"cmd": "x"}) == run_cache.key({"cmd": "x", "outs": []})


def test_keys_that_are_numbers_beside_text_have_a_place():
    one = {"cmd": "x", "params": {"p": {"a": {1: "x", "b": 2, None: 3}}}}
    other = {"cmd": "x", "params": {"p": {"a": {None: 3, "b": 2, 1: "x"}}}}
    assert run_cache.key(one) == run_cache.key(other)
    assert run_cache.key(one) != run_cache.key({"cmd": "x", "params": {"p": {"a": {1: "y"}}}})
