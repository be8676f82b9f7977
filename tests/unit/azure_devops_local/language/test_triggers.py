import random
import time
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_devops_local.language.triggers import Push, Verdict, decide
from tests.support.pipeline_files import Fake

CI = ".azure_pipelines/ci.yml"
WORK = "steps:\n- script: echo\n"
SKIP_MARKS = [
    "[skip ci]",
    "[ci skip]",
    "[skip azurepipelines]",
    "[azurepipelines skip]",
    "[skip azpipelines]",
    "[azpipelines skip]",
    "[skip azp]",
    "[azp skip]",
    "skip-checks: true",
    "skip-checks:true",
    "***NO_CI***",
]


def judged(trigger: str, branch: str = "main", changed: tuple[str, ...] = (), message: str = "") -> Verdict:
    ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    return decide(Fake({CI: f"{dedent(trigger).lstrip()}\n{WORK}"}), Push(ref, changed, message))["ci.yml"]


def paths(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> str:
    lines = ["trigger:", "  branches:", "    include: ['*']"]
    if include or exclude:
        lines.append("  paths:")
    for key, filters in (("include", include), ("exclude", exclude)):
        if filters:
            lines += [f"    {key}:", *(f"    - '{each}'" for each in filters)]
    return "\n".join(lines)


BRANCHES: dict[str, tuple[list[str], list[str]]] = {
    "": (["main", "dev-ana"], ["refs/tags/v1", "refs/pull/1/merge"]),
    "trigger: none": ([], ["main", "refs/tags/v1"]),
    "trigger: [main, release/*]": (["main", "release/1", "release/1/hot"], ["release", "main2", "Main", "my/main"]),
    "trigger: ['*']": (["any/thing/at-all", "x$(touch${IFS}pwned)"], ["refs/tags/v1", "refs/notes/commits"]),
    "trigger: ['*-fix']": (["dev/ana-fix"], ["dev/ana-fixes"]),
    "trigger: [v?]": (["v1"], ["v", "v12"]),
    "trigger: [a.c]": (["a.c"], ["abc"]),
    "trigger: [refs/heads/main, refs/heads/dev-*]": (["main", "dev-ana"], ["x$(touch${IFS}pwned)"]),
    "trigger: {branches: {include: [main]}}": (["main"], ["dev"]),
    "trigger: {branches: {exclude: [main]}}": (["dev"], ["main"]),
    "trigger: {branches: {include: ['*'], exclude: [main, int*]}}": (["dev"], ["integration", "main"]),
    "trigger: {branches: {include: [release/1], exclude: [release/*]}}": ([], ["release/1"]),
    "trigger: {tags: {include: ['v*']}}": (["refs/tags/v1"], ["main", "refs/tags/1"]),
    "trigger: {tags: {include: ['refs/tags/v*'], exclude: [v2.0]}}": (["refs/tags/v2.1"], ["refs/tags/v2.0"]),
    "trigger: {tags: {exclude: [v2.0]}}": (["refs/tags/v2.1"], ["refs/tags/v2.0"]),
    "trigger: {branches: {include: [main]}, tags: {include: ['v*']}}": (["refs/tags/v1", "main"], ["v1"]),
}
"""By trigger: branches and references that start the pipeline, and others."""


@pytest.mark.parametrize("trigger", BRANCHES)
def test_branches_and_tags(trigger: str) -> None:
    starting, others = BRANCHES[trigger]
    verdicts = {branch: judged(trigger, branch) for branch in (*starting, *others)}
    assert [branch for branch, verdict in verdicts.items() if verdict.triggered] == starting
    assert not any(verdict.broken for verdict in verdicts.values())


@pytest.mark.parametrize(
    ("include", "exclude", "starting", "others"),
    [
        ((), (), [()], []),
        (
            ("src/**",),
            (),
            [
                ("src/a.py",),
                ("src/deep/er/a.py",),
                ("docs/a.md", "src/a.py"),
                ("src/line\nbreak.py",),
                ("src/\udcff.py",),
            ],
            [(), ("src",), ("srcs/a.py",), ("lib/src/a.py",), ("SRC/a.py",)],
        ),
        (("src/a.py",), (), [("src/a.py",)], [("src/a.pyc",), ("src/axpy",)]),
        (("docs",), (), [("docs/deep/a.md",)], [("docs2/a.md",)]),
        (("src/*.py", "lib/?.py"), (), [("src/a.py",), ("lib/a.py",)], [("lib/ab.py",)]),
        (("src/a+b(1).py",), (), [("src/a+b(1).py",)], []),
        ((), ("docs/**",), [("docs/a.md", "src/a.py")], [("docs/a.md",), ()]),
        (("src/**",), ("src/docs/**",), [("src/docs/a.md", "src/a.py")], [("src/docs/a.md",)]),
        (("src/**",), ("src/**",), [], [("src/a.py",)]),
    ],
)
def test_paths(
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    starting: list[tuple[str, ...]],
    others: list[tuple[str, ...]],
) -> None:
    verdicts = {changed: judged(paths(include, exclude), changed=changed) for changed in (*starting, *others)}
    assert [changed for changed, verdict in verdicts.items() if verdict.triggered] == starting
    assert not any(verdict.broken for verdict in verdicts.values())


def test_path_filters_apply_to_branches_only() -> None:
    trigger = "trigger: {branches: {include: [main]}, tags: {include: ['*']}, paths: {include: [src/**]}}"
    assert judged(trigger, "refs/tags/v1", ()).triggered
    assert not judged(trigger, "dev", ("src/a.py",)).triggered
    assert judged(trigger, "main", ("src/a.py",)).triggered


def test_a_skip_mark_anywhere_in_the_message_skips() -> None:
    for mark in SKIP_MARKS:
        verdict = judged("", message=f"Correct a typo\n\nNo need to test this {mark}.\n")
        assert (verdict.triggered, verdict.rule) == (False, f"the message of a pushed commit contains {mark}")
    for message in ("skip ci", "[skip it]", "NO_CI", "skip-checks: false", "[skipci]"):
        assert judged("", message=message).triggered


def test_batch() -> None:
    trigger = "trigger:\n  branches:\n    include: [main]\n  "
    verdicts = [judged(trigger + batch) for batch in ("batch: true", "batch: True", "batch: false", "")]
    assert [verdict.batch for verdict in verdicts] == [True, True, False, False]


FULL = """
    trigger:
      branches:
        include:
        - dev-*
        - main
        exclude:
        - dev-old
      paths:
        include:
        - src/**
        - README.md
        exclude:
        - src/docs/**
    """


@pytest.mark.parametrize(
    ("branch", "changed", "rule"),
    [
        ("dev-old", ("src/a",), "the branch dev-old is excluded by `dev-old` (line 7)"),
        ("integration", ("src/a",), "the branch integration is not included by `dev-*` (line 4), `main` (line 5)"),
        ("main", (), "no file is changed, and it has path filters"),
        ("main", ("src/docs/a",), "the path src/docs/a is excluded by `src/docs/**` (line 13)"),
        ("main", ("lib/a",), "the path lib/a is not included by `src/**` (line 10), `README.md` (line 11)"),
        ("main", ("lib/a", "src/docs/b"), "none of the 2 changed files matches its path filters"),
        (
            "main",
            ("lib/a", "README.md"),
            "the branch main is included by `main` (line 5), and "
            "the path README.md is included by `README.md` (line 11)",
        ),
        (
            "dev-\x1b[31mx",
            ("src/\n\udcff",),
            "the branch dev-\N{REPLACEMENT CHARACTER}[31mx is included by `dev-*` (line 4), and "
            "the path src/\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} is included by `src/**` (line 10)",
        ),
    ],
)
def test_the_rule_names_the_filter_and_its_line(branch: str, changed: tuple[str, ...], rule: str) -> None:
    assert judged(FULL, branch, changed).rule == rule


@pytest.mark.parametrize(
    ("trigger", "branch", "rule"),
    [
        ("", "dev", "it has no `trigger`, so every branch starts it"),
        ("trigger: none", "dev", "it has `trigger: none`, so it is only started manually"),
        ("trigger: [main]", "refs/tags/v1", "its trigger names no tags, so a tag does not start it"),
        ("trigger: {tags: {include: [v1]}}", "dev", "its trigger names no branches, so a branch does not start it"),
        ("", "refs/tags/v1", "its trigger names no tags, so a tag does not start it"),
        ("", "refs/notes/x", "refs/notes/x is neither a branch nor a tag"),
        (
            "trigger: {branches: {exclude: [main]}}",
            "dev",
            "the branch dev is not excluded by `main` (line 1)",
        ),
    ],
)
def test_the_rule_without_a_filter(trigger: str, branch: str, rule: str) -> None:
    assert judged(trigger, branch).rule == rule


@pytest.mark.parametrize(
    ("trigger", "line", "problem"),
    [
        ("trigger:", 1, "`trigger` is `none`, a list"),
        ("trigger: main", 1, "`trigger` is `none`, a list"),
        ("trigger: []", 1, "this is a list of branches with at least one entry"),
        ("trigger:\n  batch: true", 1, "neither branches nor tags"),
        ("trigger:\n  branches: {include: [a]}\n  batch: perhaps", 3, "`batch` is true or false"),
        ("trigger:\n  branch: [main]", 2, "`branch` is not a key of `trigger`; did you mean `branches`?"),
        (
            "trigger:\n  branches:\n    includes: [main]",
            3,
            "`includes` is not a key of `branches`; did you mean `include`?",
        ),
        ("trigger:\n  branches: [main]", 2, "`branches` has a list `include`"),
        ("trigger:\n  branches:\n    include: main", 3, "this is a list of branches with at least one entry"),
        ("trigger:\n  branches:\n    include:\n    - {a: b}", 4, "is not a branch filter"),
        ("trigger:\n- ''", 2, "is not a branch filter"),
        ("trigger:\n- main\n- refs/tags/v1", 3, "`refs/tags/v1` is not a branch"),
        ("trigger:\n  tags:\n    include: [refs/heads/x]", 3, "`refs/heads/x` is not a tag"),
        ("trigger:\n  paths:\n    include: [src/**]", 2, "`paths` needs `branches`"),
        ("trigger:\n- ${{ parameters.branch }}", 2, "can't contain expressions"),
        ("trigger:\n- $(branch)", 2, "can't contain expressions"),
        ("trigger: ${{ parameters.trigger }}", 1, "can't contain expressions"),
        (
            "trigger:\n  ${{ if true }}:\n    branches: {include: [a]}",
            2,
            "`${{ if true }}` is not a key of `trigger`: use one of batch, branches, tags, paths.",
        ),
        ("trigger:\n- main\ntrigger: none", 3, "is repeated"),
        *(
            (
                f"trigger:\n  branches: {{include: [a]}}\n  paths:\n    include:\n    - '{path}'",
                5,
                "is not a path filter",
            )
            for path in ("/src/a.py", "src/", "a b.py", "src//a", "src\\a", "[ab].py", "")
        ),
    ],
)
def test_a_wrong_trigger_is_refused_by_line(trigger: str, line: int, problem: str) -> None:
    verdict = judged(trigger, message="[skip ci]")
    assert (verdict.triggered, verdict.broken) == (False, True)
    assert verdict.rule.startswith(f"{CI}, line {line}: ")
    assert problem in verdict.rule
    assert verdict.rule[-1] in ".?" and "\n" not in verdict.rule


def test_an_include_inside_an_exclude_is_refused() -> None:
    verdict = judged(paths(("src/core/**",), ("src/**",)), changed=("src/core/a.py",))
    assert (verdict.triggered, verdict.broken) == (False, True)
    assert "line 6: `src/core/**` is inside the exclude `src/**` (line 8)" in verdict.rule


def test_a_rule_counts_many_filters() -> None:
    assert judged("trigger: [a, b, c, d]", "x").rule == "the branch x is not included by any of 4 filters"


def test_a_broken_file_does_not_hide_the_others() -> None:
    files = Fake(
        {
            CI: "steps: [\n",
            ".azure_pipelines/cd.yml": WORK,
            ".azure_pipelines/empty.yml": "",
            ".azure_pipelines/escape.yml": 'trigger:\n- "\\e[31m\\n x"\n' + WORK,
        }
    )
    verdicts = decide(files, Push("refs/heads/main", []))
    assert {name: (verdict.triggered, verdict.broken) for name, verdict in verdicts.items()} == {
        "ci.yml": (False, True),
        "cd.yml": (True, False),
        "empty.yml": (False, True),
        "escape.yml": (False, True),
    }
    assert verdicts["ci.yml"].rule.startswith(f"{CI}, line ")
    assert verdicts["escape.yml"].rule.isprintable()


@pytest.mark.parametrize("hidden", ["trigger: none", "jobs: []"])
def test_triggers_and_work_below_an_expression_are_refused(hidden: str) -> None:
    files = Fake({CI: f"name: x\n${{{{ if true }}}}:\n  {hidden}\n"})
    verdict = decide(files, Push("refs/heads/main", []))["ci.yml"]
    assert (verdict.triggered, verdict.broken) == (False, True)
    assert f"{CI}, line 2: a pipeline's trigger and work can't depend on an expression" in verdict.rule
    assert decide(Fake({CI: "${{ if true }}:\n  variables: {}\n"}), Push("refs/heads/main", [])) == {}


@pytest.mark.parametrize("work", ["stages", "jobs", "steps", "extends"])
def test_files_without_work_are_not_pipelines(work: str) -> None:
    files = Fake(
        {
            CI: f"{work}: []\n",
            ".azure_pipelines/variables.yml": "variables:\n  a: b\n",
            ".azure_pipelines/templates/steps.yml": WORK,
            "azure-pipelines.yml": WORK,
        }
    )
    assert decide(files, Push("refs/heads/main", [])) == {
        "ci.yml": Verdict(True, "it has no `trigger`, so every branch starts it")
    }


def test_10000_changed_files_take_well_under_a_second() -> None:
    names = [f"docs/chapter-{number % 97}/a-page-with-a-long-name-{number}.md" for number in range(10_000)]
    trigger = paths(("src/**", "a*a*a*a*a*a*b", "*-*-*-*-*-*-*-*z", "README.md"), ("*.ipynb",))
    begun = time.process_time()
    verdict = judged(trigger, changed=tuple(names))
    assert time.process_time() - begun < 0.8
    assert verdict.rule == "none of the 10000 changed files matches its path filters"
    assert judged(trigger, changed=(*names, "src/a.py")).triggered


names = st.lists(st.sampled_from(["a", "ab", "b", "src", "x.y"]), min_size=1, max_size=3).map("/".join)
patterns = st.lists(st.sampled_from(["a", "*", "?b", "src", "**", "x.?"]), min_size=1, max_size=3).map("/".join)
pattern_lists = st.lists(patterns, max_size=3).map(tuple)
changes = st.lists(names, max_size=5).map(tuple)


@given(pattern_lists, pattern_lists, patterns, changes)
def test_one_more_exclude_never_starts_more(
    include: tuple[str, ...], exclude: tuple[str, ...], one_more: str, changed: tuple[str, ...]
) -> None:
    before = judged(paths(include, exclude), changed=changed)
    after = judged(paths(include, (*exclude, one_more)), changed=changed)
    assert before.triggered or not after.triggered


@given(pattern_lists, pattern_lists, changes, st.randoms(use_true_random=False))
def test_the_order_of_changed_files_does_not_matter(
    include: tuple[str, ...], exclude: tuple[str, ...], changed: tuple[str, ...], chance: random.Random
) -> None:
    shuffled = tuple(chance.sample(changed, len(changed)))
    once = judged(paths(include, exclude), changed=changed)
    again = judged(paths(include, exclude), changed=shuffled)
    assert (once.triggered, once.broken) == (again.triggered, again.broken)


@given(names, names)
def test_a_name_without_wildcards_matches_itself_or_a_folder(name: str, other: str) -> None:
    assert judged(f"trigger: ['{name}']", other).triggered == (name == other)
    starts = judged(paths((name,)), changed=(other,)).triggered
    assert starts == (other == name or other.startswith(f"{name}/"))
