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


@pytest.mark.parametrize(
    ("trigger", "branch", "starts"),
    [
        ("", "main", True),
        ("", "dev-ana", True),
        ("trigger: none", "main", False),
        ("trigger: [main, release/*]", "main", True),
        ("trigger: [main, release/*]", "release/1", True),
        ("trigger: [main, release/*]", "release/1/hot", True),
        ("trigger: [main, release/*]", "release", False),
        ("trigger: [main, release/*]", "main2", False),
        ("trigger: [main, release/*]", "Main", False),
        ("trigger: [main, release/*]", "my/main", False),
        ("trigger: ['*']", "any/thing/at-all", True),
        ("trigger: ['*-fix']", "dev/ana-fix", True),
        ("trigger: ['*-fix']", "dev/ana-fixes", False),
        ("trigger: [v?]", "v1", True),
        ("trigger: [v?]", "v", False),
        ("trigger: [v?]", "v12", False),
        ("trigger: [a.c]", "abc", False),
        ("trigger: [refs/heads/main]", "main", True),
        ("trigger: [refs/heads/dev-*]", "dev-ana", True),
        ("trigger: [main]", "x$(touch${IFS}pwned)", False),
        ("trigger: ['*']", "x$(touch${IFS}pwned)", True),
        ("trigger: {branches: {include: [main]}}", "main", True),
        ("trigger: {branches: {include: [main]}}", "dev", False),
        ("trigger: {branches: {exclude: [main]}}", "main", False),
        ("trigger: {branches: {exclude: [main]}}", "dev", True),
        ("trigger: {branches: {include: ['*'], exclude: [main, int*]}}", "integration", False),
        ("trigger: {branches: {include: ['*'], exclude: [main, int*]}}", "dev", True),
        ("trigger: {branches: {include: [main], exclude: [main]}}", "main", False),
        ("trigger: {branches: {include: [release/1], exclude: [release/*]}}", "release/1", False),
        ("trigger: {tags: {include: ['v*']}}", "main", False),
        ("", "refs/tags/v1", False),
        ("trigger: ['*']", "refs/tags/v1", False),
        ("trigger: none", "refs/tags/v1", False),
        ("trigger: {tags: {include: ['v*']}}", "refs/tags/v1", True),
        ("trigger: {tags: {include: ['v*']}}", "refs/tags/1", False),
        ("trigger: {tags: {include: ['refs/tags/v*'], exclude: [v2.0]}}", "refs/tags/v2.0", False),
        ("trigger: {tags: {exclude: [v2.0]}}", "refs/tags/v2.1", True),
        ("trigger: {branches: {include: [main]}, tags: {include: ['v*']}}", "refs/tags/v1", True),
        ("trigger: {branches: {include: [main]}, tags: {include: ['v*']}}", "main", True),
        ("trigger: {branches: {include: [main]}, tags: {include: ['v*']}}", "v1", False),
        ("trigger: ['*']", "refs/notes/commits", False),
        ("", "refs/pull/1/merge", False),
    ],
)
def test_branches_and_tags(trigger: str, branch: str, starts: bool) -> None:
    verdict = judged(trigger, branch)
    assert (verdict.triggered, verdict.broken) == (starts, False), verdict.rule


@pytest.mark.parametrize(
    ("include", "exclude", "changed", "starts"),
    [
        ((), (), (), True),
        (("src/**",), (), (), False),
        (("src/**",), (), ("src/a.py",), True),
        (("src/**",), (), ("src/deep/er/a.py",), True),
        (("src/**",), (), ("src",), False),
        (("src/**",), (), ("srcs/a.py",), False),
        (("src/**",), (), ("lib/src/a.py",), False),
        (("src/**",), (), ("SRC/a.py",), False),
        (("src/**",), (), ("docs/a.md", "src/a.py"), True),
        (("src/a.py",), (), ("src/a.py",), True),
        (("src/a.py",), (), ("src/a.pyc",), False),
        (("src/a.py",), (), ("src/axpy",), False),
        (("docs",), (), ("docs/deep/a.md",), True),
        (("docs",), (), ("docs2/a.md",), False),
        (("src/*.py",), (), ("src/a.py",), True),
        (("src/?.py",), (), ("src/ab.py",), False),
        (("src/a+b(1).py",), (), ("src/a+b(1).py",), True),
        ((), ("docs/**",), ("docs/a.md",), False),
        ((), ("docs/**",), ("docs/a.md", "src/a.py"), True),
        ((), ("docs/**",), (), False),
        (("src/**",), ("src/docs/**",), ("src/docs/a.md",), False),
        (("src/**",), ("src/docs/**",), ("src/docs/a.md", "src/a.py"), True),
        (("src/**",), ("src/**",), ("src/a.py",), False),
        (("src/**",), (), ("src/line\nbreak.py",), True),
        (("src/**",), (), ("src/\udcff.py",), True),
    ],
)
def test_paths(include: tuple[str, ...], exclude: tuple[str, ...], changed: tuple[str, ...], starts: bool) -> None:
    verdict = judged(paths(include, exclude), changed=changed)
    assert (verdict.triggered, verdict.broken) == (starts, False), verdict.rule


def test_paths_count_for_branches_only_and_do_not_replace_them() -> None:
    trigger = "trigger: {branches: {include: [main]}, tags: {include: ['*']}, paths: {include: [src/**]}}"
    assert judged(trigger, "refs/tags/v1", ()).triggered
    assert not judged(trigger, "dev", ("src/a.py",)).triggered
    assert judged(trigger, "main", ("src/a.py",)).triggered


@pytest.mark.parametrize("mark", SKIP_MARKS)
def test_a_skip_mark_anywhere_in_the_message_skips(mark: str) -> None:
    verdict = judged("", message=f"Mend a typo\n\nNo need to test this {mark}.\n")
    assert (verdict.triggered, verdict.rule) == (False, f"the commit message contains {mark}")


@pytest.mark.parametrize("message", ["skip ci", "[skip it]", "NO_CI", "skip-checks: false", "[skipci]"])
def test_what_only_looks_like_a_skip_mark_does_not_skip(message: str) -> None:
    assert judged("", message=message).triggered


@pytest.mark.parametrize(
    ("batch", "expected"), [("batch: true", True), ("batch: True", True), ("batch: false", False), ("", False)]
)
def test_batch_is_passed_on(batch: str, expected: bool) -> None:
    verdict = judged(f"trigger:\n  branches:\n    include: [main]\n  {batch}")
    assert (verdict.triggered, verdict.batch) == (True, expected)


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
def test_the_rule_without_a_filter_says_what_is_missing(trigger: str, branch: str, rule: str) -> None:
    assert judged(trigger, branch).rule == rule


@pytest.mark.parametrize(
    ("trigger", "line", "problem"),
    [
        ("trigger:", 1, "`trigger` is `none`, a list"),
        ("trigger: main", 1, "`trigger` is `none`, a list"),
        ("trigger: []", 1, "this is a list of branches with at least one entry"),
        ("trigger: {}", 1, "neither branches nor tags"),
        ("trigger:\n  batch: true", 1, "neither branches nor tags"),
        ("trigger:\n  branches: {include: [a]}\n  batch: perhaps", 3, "`batch` is true or false"),
        ("trigger:\n  branches: {include: [a]}\n  batch: [x]", 3, "`batch` is true or false"),
        ("trigger:\n  branch: [main]", 2, "`branch` is not a key of `trigger`; did you mean `branches`?"),
        (
            "trigger:\n  branches:\n    includes: [main]",
            3,
            "`includes` is not a key of `branches`; did you mean `include`?",
        ),
        ("trigger:\n  branches: [main]", 2, "`branches` has a list `include`"),
        ("trigger:\n  branches: {}", 2, "`branches` has a list `include`"),
        ("trigger:\n  branches:", 2, "`branches` has a list `include`"),
        ("trigger:\n  branches:\n    include: main", 3, "this is a list of branches with at least one entry"),
        ("trigger:\n  branches:\n    include: []", 3, "this is a list of branches with at least one entry"),
        ("trigger:\n  branches:\n    include:\n    - {a: b}", 4, "is not a branch filter"),
        ("trigger:\n- ''", 2, "is not a branch filter"),
        ("trigger:\n- main\n- refs/tags/v1", 3, "`refs/tags/v1` is not a branch"),
        ("trigger:\n  tags:\n    include: [refs/heads/x]", 3, "`refs/heads/x` is not a tag"),
        ("trigger:\n  paths:\n    include: [src/**]", 2, "`paths` needs `branches`"),
        ("trigger:\n- ${{ parameters.branch }}", 2, "can't contain expressions"),
        ("trigger:\n- $(branch)", 2, "can't contain expressions"),
        ("trigger:\n- $[variables.x]", 2, "can't contain expressions"),
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


def test_an_include_within_an_exclude_is_refused_because_the_service_is_not_sure_itself() -> None:
    verdict = judged(paths(("src/core/**",), ("src/**",)), changed=("src/core/a.py",))
    assert (verdict.triggered, verdict.broken) == (False, True)
    assert "line 6: `src/core/**` is inside the exclude `src/**` (line 8)" in verdict.rule


def test_a_rule_counts_filters_when_there_are_too_many_to_name() -> None:
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
def test_nothing_is_hidden_in_an_expression_at_the_margin(hidden: str) -> None:
    files = Fake({CI: f"name: x\n${{{{ if true }}}}:\n  {hidden}\n"})
    verdict = decide(files, Push("refs/heads/main", []))["ci.yml"]
    assert (verdict.triggered, verdict.broken) == (False, True)
    assert f"{CI}, line 2: a pipeline's trigger and work can't depend on an expression" in verdict.rule
    assert decide(Fake({CI: "${{ if true }}:\n  variables: {}\n"}), Push("refs/heads/main", [])) == {}


@pytest.mark.parametrize("work", ["stages", "jobs", "steps", "extends"])
def test_only_files_with_work_in_them_are_pipelines(work: str) -> None:
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


@given(names, changes)
def test_a_pipeline_without_filters_always_starts(branch: str, changed: tuple[str, ...]) -> None:
    assert judged("", branch, changed).triggered
    assert judged("trigger: ['*']", branch, changed).triggered


@given(names, names)
def test_a_name_without_wildcards_matches_itself_and_for_paths_what_is_below(name: str, other: str) -> None:
    assert judged(f"trigger: ['{name}']", other).triggered == (name == other)
    starts = judged(paths((name,)), changed=(other,)).triggered
    assert starts == (other == name or other.startswith(f"{name}/"))
