"""The name of a run."""

from datetime import UTC, datetime

import pytest

from azure_devops_local import run_store
from azure_devops_local.agent.run_name import build_number
from azure_devops_local.agent.variables import Variables
from azure_devops_local.language.pipeline import Variable
from kit_common.errors import UserError


def run(branch: str = "main") -> run_store.Run:
    created = datetime(2026, 2, 3, 14, 5, 6, tzinfo=UTC)
    return run_store.Run(number=7, pipeline="cd.yml", branch=branch, commit="c" * 40, created=created)


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ("$(Build.DefinitionName)_$(Date:yyyy-MM-dd)$(Rev:.r)$(Rev:rr)", "cd_2026-02-03.707"),
        ("$(Date:d.M.yy H-m-s h tt ddd dddd MMM MMMM)", "3.2.26 14-5-6 2 PM Tue Tuesday Feb February"),
        ("$(Year:yy)-$(Year)-$(Month)-$(DayOfMonth)-$(DayOfYear)", "26-2026-2-3-34"),
        ("$(Hours)-$(Minutes)-$(Seconds)", "14-5-6"),
        ("$(BuildID)-$(builddefinitionname)-$(SourceBranchName)-$(TeamProject)", "7-cd-x-workshop"),
        ("$(Build.SourceBranch)", "refs_heads_dev_x"),
        ("$(version)-$(unknown)", "1.2-$(unknown)"),
    ],
)
def test_the_name_has_the_format_of_the_pipeline(form: str, number: str) -> None:
    known = Variables([Variable("major", "1"), Variable("version", "$(major).2")])
    assert build_number(run("dev/x"), form, known) == number


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("a/b", "becomes `a/b`, which is not a name of a run"),
        ("a.", "without a full stop at the end"),
        ("a" * 256, "at most 255 characters"),
        ("$(Date:yyyy-zz)", "The date format `zz`"),
        ("$[format('a')]", "An expression in the `name:`"),
    ],
)
def test_a_name_that_azure_refuses(form: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build_number(run(), form, Variables())
    assert message in str(caught.value)
