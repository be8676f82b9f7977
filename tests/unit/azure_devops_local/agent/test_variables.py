"""Variables: expansion, the environment of a step, and masked secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_devops_local import run_store
from azure_devops_local.agent import variables
from azure_devops_local.agent.variables import Mask, Variables
from azure_devops_local.language.pipeline import Group, Variable
from kit_common.errors import UserError
from workshop.core.settings import current_settings

NAMES = st.sampled_from(["a", "B", "c.d", "none"])
PIECES = st.lists(st.one_of(NAMES.map(lambda name: f"$({name})"), st.text(alphabet="$()ax \n", max_size=6)), max_size=6)
TEXTS = PIECES.map("".join)
# Secrets of asterisks can't be told from what stands in their place.
SECRETS = st.text(alphabet="abc\n ;%", min_size=1, max_size=6).filter(str.strip)


def run(branch: str = "main", **others: str) -> run_store.Run:
    return run_store.Run(number=7, pipeline="cd.yml", branch=branch, commit="a" * 40, created=run_store.now(), **others)


def written(**values: str) -> Variables:
    known = Variables()
    known.add(values, written=True)
    return known


@given(values=st.fixed_dictionaries(dict.fromkeys(("A", "b", "c.d"), TEXTS)))
def test_a_value_has_all_its_macros_replaced_or_none(values: dict[str, str]) -> None:
    known = Variables()
    known.add(values)
    for name, value in values.items():
        macros = [other for other in values if f"$({other.lower()})" in value.lower()]
        if name in known.circular():
            assert macros
            assert known.get(name) == value
        elif not macros:
            assert known.get(name) == value
        else:
            assert not any(f"$({other})" in (known.get(name) or "") for other in macros if not known.circular())


@given(text=TEXTS, values=st.fixed_dictionaries(dict.fromkeys(("A", "b", "c.d"), st.text("ax \n"))))
def test_a_text_gets_the_values(text: str, values: dict[str, str]) -> None:
    known = Variables()
    known.add(values)
    expected = text
    # What a marker stands for can't be mistaken for a macro, so putting values in last shows a single pass.
    for number, name in enumerate(("a", "b", "c.d")):
        for spelled in (name, name.upper()):
            expected = expected.replace(f"$({spelled})", f"\ue000{number}\ue001")
    for number, name in enumerate(("A", "b", "c.d")):
        expected = expected.replace(f"\ue000{number}\ue001", values[name])
    assert known.expand(text) == expected


def test_a_value_may_refer_to_any_variable() -> None:
    known = written(a="<$(b)>", b="[$(data)]")
    known.add({"data": "$(c)", "c": "!"})
    assert known.get("A") == "<[!]>"
    assert known.expand("$(a) $(pwd) $(not.there)") == "<[!]> $(pwd) $(not.there)"


def test_a_circular_value_stays_as_it_is() -> None:
    known = written(a="1$(b)", b="2$(c)", c="3$(b)", d="$(e)", e="5")
    assert [known.get(name) for name in "abcd"] == ["1$(b)", "2$(c)", "3$(b)", "5"]
    assert known.expand("$(a)") == "1$(b)"
    assert known.circular() == ["a", "b", "c"]


def test_values_nest_forty_nine_deep() -> None:
    known = written(**{f"v{n}": f"$(v{n + 1})" for n in range(60)})
    known.add({"v60": "end"})
    assert known.get("v11") == "end"
    assert known.get("v10") == "$(v11)"


def test_a_variable_that_grows_without_bounds_is_refused() -> None:
    known = written(v0="x" * 1000, **{f"v{n}": f"$(v{n - 1})" * 10 for n in range(1, 9)})
    with pytest.raises(UserError, match="longer than 100,000"):
        known.get("v8")


def test_a_step_gets_all_but_the_secrets_and_what_contains_them() -> None:
    known = written(**{"Build.X": "1", "with space": "2", "with-dash": "3", "has": "is $(token)"})
    known.put(Variable("token", "s3cret", secret=True))
    assert known.environment() == {"BUILD_X": "1", "WITH_SPACE": "2", "WITH-DASH": "3"}
    assert known.expand("$(has)") == "is s3cret"


def test_a_read_only_variable_stays_as_it_is() -> None:
    known = Variables([Variable("Build.Reason", "Manual", read_only=True)])
    with pytest.raises(UserError, match=r"Build\.Reason is read-only"):
        known.refuse_read_only("build.reason")
    known.refuse_read_only("build.other")
    assert known.get("Build.Reason") == "Manual"


def test_the_value_of_a_runtime_expression_is_data() -> None:
    known = written(out="$[ dependencies.A ]", plain="$[ no", secret="$[ secret ]")
    known.add({"data": "$[ dependencies.A ]"})
    mask = Mask()
    mask.add("s3cret")
    known.evaluate(lambda text: "s3cret" if "secret" in text else f"$(plain) of{text}", mask)
    assert known.get("out") == "$[ no of dependencies.A "
    assert known.get("plain") == "$[ no"
    assert known.get("data") == "$[ dependencies.A ]"
    assert "SECRET" not in known.environment()


@given(secrets=st.lists(SECRETS, min_size=1, max_size=3), text=st.text(alphabet="abc ;%", max_size=40))
def test_no_secret_is_ever_shown_nor_a_line_of_one(secrets: list[str], text: str) -> None:
    mask = Mask()
    for secret in secrets:
        mask.add(secret)
    for secret in secrets:
        for line in filter(str.strip, [secret, *secret.splitlines()]):
            assert line not in mask(f"{text}{line}{text}")


def test_overlapping_secrets_are_masked() -> None:
    mask = Mask()
    mask.add("abc")
    mask.add("cd")
    assert mask("xabcdx abcabc") == "x***x ******"


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ('tab\t"quote"', r"tab\t\"quote\"", "***"),
        ("hello world", "hello%20world", "***"),
        (r"a\\b\'c\"d\t", "a\\b'c\"d\t", "***"),
        ("x y", "https://user:pass4';.!&*()=,$-+~@example.com", "https://user:***@example.com"),
        (
            "x y",
            "https://user@example.com:443/~a?b=c....~~many@&d=e",
            "https://user@example.com:443/~a?b=c....~~many@&d=e",
        ),
    ],
)
def test_secrets_with_other_escapes_and_passwords_in_urls_are_masked(secret: str, text: str, masked: str) -> None:
    mask = Mask()
    mask.add(secret)
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("branch", "ref", "name"),
    [
        ("main", "refs/heads/main", "main"),
        ("dev/ana", "refs/heads/dev/ana", "ana"),
        ("refs/pull/12/merge", "refs/pull/12/merge", "merge"),
    ],
)
def test_predefined_variables(branch: str, ref: str, name: str) -> None:
    known = variables.predefined(run(branch, reason="individualCI", requested_for="Ana", message="m" * 300))
    assert known["Build.SourceBranch"] == ref
    assert known["Build.SourceBranchName"] == name
    assert known["Build.Reason"] == "IndividualCI"
    assert (known["Build.RequestedFor"], known["Build.QueuedBy"]) == ("Ana", "Microsoft.VisualStudio.Services.TFS")
    assert known["Build.SourceVersionMessage"] == "m" * 200
    assert known.get("System.PullRequest.PullRequestId") == ("12" if "pull" in ref else None)


def write_groups(text: str) -> None:
    folder = current_settings().home / "devops"
    folder.mkdir(parents=True)
    (folder / variables.GROUPS_FILE).write_text(text, encoding="utf-8")


def test_variable_groups_are_read_from_a_file() -> None:
    write_groups("team: {host: example.org, key: {value: s3cret, secret: true}}\n")
    host, key = variables.read_group("team")
    assert (host.name, host.value, host.secret) == ("host", "example.org", False)
    assert (key.name, key.value, key.secret) == ("key", "s3cret", True)


def test_a_group_stands_in_its_place_among_the_variables() -> None:
    first, last = Variable("a", "1"), Variable("b", "3")
    of_group = [Variable("a", "2"), Variable("b", "2")]
    assert variables.entries_of((first, Group("g"), last), {"g": of_group}) == [first, *of_group, last]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "variable group team is missing: write"),
        ("other: {a: b}\n", "variable group team is missing: write"),
        ("team: {a: {secret: true}}\n", "line 1: `a` is neither"),
        ("team: {a: [b]}\n", "line 1: `a` is neither"),
        ("team: {a: b\n", "not YAML"),
    ],
)
def test_an_invalid_variable_group_is_refused(text: str, problem: str) -> None:
    if text:
        write_groups(text)
    with pytest.raises(UserError, match=problem):
        variables.read_group("team")
