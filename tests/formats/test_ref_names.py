from __future__ import annotations

import random
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import UsageError
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ADJECTIVES, NOUNS, ExpRef, check_name, draw, parse

BASELINE = "5efbe5d225de660169e6dd18d6b33c54a5540f68"


def test_a_name_and_its_baseline_are_a_ref_and_back():
    ref = "refs/exps/5e/fbe5d225de660169e6dd18d6b33c54a5540f68/low-lr"
    assert ExpRef(BASELINE, "low-lr").ref == ref
    assert parse(ref) == ExpRef(BASELINE, "low-lr")


def test_a_baseline_of_a_sha256_repository_is_read():
    assert parse(ExpRef("ab" * 32, "x").ref) == ExpRef("ab" * 32, "x")


def test_all_experiments_on_a_commit_start_with_one_prefix():
    assert ExpRef(BASELINE, "x").ref.startswith(ref_names.prefix(BASELINE))


@pytest.mark.parametrize("name", ["-rf", "HEAD", "CON", "deadbee", "ünï", "a.lock.", "@"])
def test_names_that_dvc_made_are_read_though_nbexp_would_not_make_them(name):
    assert parse(f"refs/exps/5e/{BASELINE[2:]}/{name}") == ExpRef(BASELINE, name)


@pytest.mark.parametrize(
    "ref",
    [
        "refs/exps/stash",
        "refs/exps/exec/EXEC_HEAD",
        "refs/exps/celery/stash",
        "refs/exps/apply/ORIG_HEAD",
        "refs/exps/temp/head-1",
        f"refs/exps/5e/{BASELINE[2:]}",
        f"refs/exps/5e/{BASELINE[2:]}/",
        f"refs/exps/5e/{BASELINE[2:]}/a/b",
        f"refs/exps/5E/{BASELINE[2:].upper()}/a",
        f"refs/exps/nbexp/{BASELINE[2:]}/a",
        f"refs/heads/5e/{BASELINE[2:]}/a",
        f"refs/nbexp/failed/5e/{BASELINE[2:]}/a",
        "",
    ],
)
def test_other_refs_are_no_experiments(ref):
    assert parse(ref) is None


@pytest.mark.parametrize(
    "name", ["low-lr", "a", "_", "0", "exp-1", "v1.2", "A_b.C-d", "x" * 64, "beefy", "abc", "1e-3"]
)
def test_a_name_that_git_and_every_file_system_take_is_allowed(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "starts with a letter"),
        ("-rf", "starts with a letter"),
        (".hidden", "starts with a letter"),
        ("a b", "starts with a letter"),
        ("a/b", "starts with a letter"),
        ("a\n", "starts with a letter"),
        ("ünï", "starts with a letter"),
        ("x" * 65, "up to 64"),
        ("a..b", "Git takes no"),
        ("a.", "Git takes no"),
        ("a.lock", "Git takes no"),
        ("HEAD", "Git and DVC use that word themselves"),
        ("stash", "Git and DVC use that word themselves"),
        ("Exec", "Git and DVC use that word themselves"),
        ("celery", "Git and DVC use that word themselves"),
        ("CON", "Windows keeps it"),
        ("com1.x", "Windows keeps it"),
        ("deadbee", "start of a commit's SHA"),
        ("BEEF", "start of a commit's SHA"),
        ("1234", "start of a commit's SHA"),
        (BASELINE, "start of a commit's SHA"),
    ],
)
def test_any_other_name_is_refused_with_the_reason(name, said):
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert said in caught.value.message
    assert f"`{name}`" in caught.value.message


@given(st.text(max_size=70))
def test_the_name_proposed_instead_is_one(name):
    refused = _refusal(name)
    if refused is not None:
        proposed = re.fullmatch(r"for example `(.*)`\.", refused.hint or "")
        assert proposed is not None
        assert _refusal(proposed[1]) is None


def _refusal(name: str) -> UsageError | None:
    try:
        check_name(name)
    except UsageError as error:
        return error
    return None


def test_git_takes_every_name_that_is_allowed():
    names = ["a", "_x", "v1.2", "A_b.C-d", "x" * 64, draw(set())]
    for name in names:
        check_name(name)
        subprocess.run(["git", "check-ref-format", ExpRef(BASELINE, name).ref], check=True)


def test_there_are_words_enough_and_each_is_plain():
    for words in (ADJECTIVES, NOUNS):
        assert len(words) >= 200
        assert len(set(words)) == len(words)
        assert all(re.fullmatch("[a-z]{2,10}", word) for word in words)


def test_a_drawn_name_has_two_words_and_is_allowed():
    for _ in range(50):
        name = draw(set())
        adjective, noun = name.split("-")
        assert adjective in ADJECTIVES
        assert noun in NOUNS
        check_name(name)


def test_a_name_that_is_taken_is_not_drawn():
    taken = {draw(set(), random.Random(7))}
    assert draw(taken, random.Random(7)) not in taken


def test_seeding_random_does_not_decide_names():
    random.seed(1)
    first = [draw(set()) for _ in range(5)]
    random.seed(1)
    assert [draw(set()) for _ in range(5)] != first


def test_when_all_pairs_are_taken_a_number_is_added():
    class Everything:
        def __contains__(self, name):
            return name.count("-") == 1 or name.endswith("-2")

    assert re.fullmatch("[a-z]+-[a-z]+-3", draw(Everything()))
