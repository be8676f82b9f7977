"""In random histories no criterion is met that the actions have not achieved, and none is missed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.course import CD, CI, SUBMIT, UNIT_TEST, World, act, solved
from workshop.course import checking

BRANCHES = st.sampled_from(["dev-ana", "dev-ana-2", "dev-bob", "main", "integration"])
RUN_NAMES = st.sampled_from(["dev-ana", "Dev-Ana", "", "dev-bob", "dev-ana-2"])
NOTEBOOKS = st.sampled_from(["1_1", "1_2", "1_3", "1_4"])
PEOPLE = st.sampled_from(["Ana", "Bob"])
NUMBERS = st.integers(1, 9)
Action = tuple[object, ...]
ACTIONS = st.one_of(
    st.just(("restore",)),
    st.just(("commit",)),
    st.just(("push",)),
    st.tuples(st.just("configure"), st.sampled_from(["", "Ana"]), st.sampled_from(["", "ana", "ana@example.org"])),
    st.sampled_from([("make_setup",), ("make_cd",), ("devops_start",), ("rollback",), ("score",)]),
    st.tuples(st.just("switch"), BRANCHES.filter(lambda name: name != "integration"), st.just("integration")),
    st.tuples(st.just("run_in_jupyter"), NOTEBOOKS, RUN_NAMES),
    st.tuples(
        st.just("workshop_run"), RUN_NAMES, st.sampled_from(["local", "databricks"]), st.sampled_from([1.0, 0.1])
    ),
    st.tuples(st.just("start_pipeline"), st.sampled_from([CD, CI, SUBMIT, UNIT_TEST]), BRANCHES, st.booleans()),
    st.tuples(st.just("edit"), NOTEBOOKS, st.booleans()),
    st.tuples(st.just("paste_search"), st.sampled_from(["over", "below", "1_3"])),
    st.tuples(st.just("commit"), st.sampled_from(["ana", "bob"])),
    st.tuples(st.just("push"), BRANCHES, BRANCHES),
    st.tuples(st.just("pr_create"), BRANCHES, st.sampled_from(["integration", "main"]), PEOPLE),
    st.tuples(st.just("pr_complete"), NUMBERS, PEOPLE),
    st.tuples(st.just("pr_abandon"), NUMBERS),
    st.tuples(st.just("approve"), NUMBERS, PEOPLE, st.booleans()),
    st.tuples(st.just("override"), NUMBERS.map(str)),
)
STARTS = st.sampled_from([(-1, 0), (1, 0), (3, 0), (4, 0), (4, 3), (5, 6), (5, 4), (5, 0)])
"""From nothing, or from somewhere in the reference solution."""


def compare(start: tuple[int, int], actions: list[Action]) -> None:
    world = act(World() if start[0] < 0 else solved(*start), *actions)
    found = {line.criterion.id for line in checking.judge(world.facts()) if line.finding.state == "met"}
    assert found - world.truth == set(), "met, though the actions have not achieved it"
    assert world.truth - found == set(), "achieved, and not noticed"


@settings(max_examples=200)
@given(STARTS, st.lists(ACTIONS, min_size=1, max_size=40))
def test_exactly_what_was_achieved_is_met(start: tuple[int, int], actions: list[Action]) -> None:
    compare(start, actions)


@pytest.mark.thorough
@settings(max_examples=10_000)
@given(STARTS, st.lists(ACTIONS, min_size=1, max_size=40))
def test_exactly_what_was_achieved_is_met_in_ten_thousand(start: tuple[int, int], actions: list[Action]) -> None:
    compare(start, actions)
