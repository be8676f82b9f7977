"""Steps: logging commands, logs, and the end of their processes."""

import os
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_devops_local import run_store
from azure_devops_local.agent import logging_commands, processes
from kit_common.errors import UserError
from tests.support import laptop

PIPELINE = """
steps:
- checkout: none
- bash: |
{script}
  displayName: one
  name: one
- bash: |
{after}
  displayName: two
  condition: always()
"""


def run(tmp_path: Path, script: str, after: str = "true") -> run_store.Run:
    indented = {
        name: "\n".join(f"    {line}" for line in text.splitlines())
        for name, text in (("script", script), ("after", after))
    }
    return laptop.execute(laptop.repository(tmp_path / "repository", PIPELINE.format(**indented)))


def vso(command: str, text: str = "") -> str:
    return f"echo '##vso[{command}]{text}'"


def test_a_step_sets_variables_for_the_next_one(tmp_path: Path) -> None:
    script = "\n".join(
        [
            vso("task.setvariable variable=plain", "a%3Bb%0Ac%5D%AZP25%25"),
            vso("task.setvariable variable=out;isOutput=true", "1"),
            vso("task.setvariable variable=token;issecret=true", "s3%3Bcret"),
            'echo "still: $(plain)"',
        ]
    )
    done = run(tmp_path, script, 'echo "$PLAIN|$(one.out)|${OUT-none}|${TOKEN-none}|$(token)"')
    assert laptop.log_of(done, "two") == "a;b\nc]%%25|1|none|none|***\n"
    assert "still: $(plain)" not in laptop.log_of(done, "one")  # the shell ran it as a command
    assert "s3" not in laptop.log_of(done, "one")


def test_secrets_are_masked_from_then_on_line_by_line(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"{vso('task.setsecret', 'first%0Asecond')}\necho a first b; echo second; "
        "echo '##vso[task.logissue type=error]first'; echo '##vso[build.addbuildtag]second'",
    )
    assert laptop.log_of(done, "one").splitlines()[1:3] == ["a *** b", "***"]
    assert laptop.steps_of(done)["one"].issues[0].text == "***"
    assert done.tags == ["***"]


@pytest.mark.parametrize(
    ("command", "result", "message"),
    [
        (vso("task.complete result=Failed", "no good"), "failed", "no good"),
        (vso("task.complete result=SucceededWithIssues"), "succeeded with issues", ""),
        (vso("task.complete result=Succeeded") + "; exit 3", "failed", "exit code 3"),
        (vso("task.complete result=SucceededWithIssues") + "; exit 1", "failed", "exit code 1"),
        (vso("task.complete result=Perhaps"), "failed", "has the results"),
        (vso("task.logissue type=warning;sourcepath=a.py;linenumber=3", "odd"), "succeeded", "a.py:3: odd"),
        (vso("task.logissue type=info", "x"), "failed", "warning and error"),
        (vso("task.setvariable", "x"), "failed", "has no variable"),
        (vso("task.setvariable variable=Build.Reason", "x"), "failed", "read-only"),
        (vso("task.setvariable variable=a;issecret=true", "1%0A2"), "failed", "several lines"),
        (vso("task.setvariable variable=a;isoutput=true", "1") * 2, "succeeded", ""),
        (vso("task.unknown a=b"), "failed", "task.unknown is not implemented here"),
        ("echo '##vso[task.setvariable'", "succeeded", ""),
        (vso("setvariable variable=a", "x"), "succeeded", ""),
        (vso("unknown.event a=b", "x"), "succeeded", "no area unknown"),
        (vso("task.debug", "x"), "succeeded", ""),
        (vso("task.issue type=error", "odd"), "succeeded", "odd"),
        (vso("task.logissue", "odd"), "succeeded", "has no type"),
        (vso("task.complete result=failed"), "failed", "has the results"),
        (vso("task.uploadsummary", "not-there.md"), "failed", "no file"),
        (vso("task.uploadsummary", "/etc/passwd"), "failed", "not in the job's own folder"),
        (vso("build.uploadlog", "/etc/passwd"), "failed", "not in the job's own folder"),
        (vso("artifact.upload artifactname=../x", "../temp"), "failed", "can't be called"),
        (vso("artifact.upload artifactname=x", "not-there"), "failed", "to publish"),
        ("false; echo ok", "succeeded", ""),
        ("kill -9 $$", "failed", "signal 9"),
        (vso("task.setprogress value=50"), "succeeded", ""),
    ],
)
def test_the_result_of_a_step(tmp_path: Path, command: str, result: str, message: str) -> None:
    step = laptop.steps_of(run(tmp_path, command))["one"]
    assert step.result == result
    assert message in "".join(issue.text for issue in step.issues)


def test_summaries_artifacts_and_logs_of_a_step_are_kept(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "\n".join(
            [
                vso("task.setsecret", "s3cret"),
                "echo '# Report s3cret' > report.md; mkdir -p out/deep; echo x > out/deep/x",
                vso("task.uploadsummary", "report.md"),
                vso("artifact.upload artifactname=kept;containerfolder=in/side", "out"),
                vso("build.uploadlog", "report.md"),
                vso("build.updatebuildnumber", "v9"),
                vso("task.prependpath", "/first"),
            ]
        ),
        'echo "$PATH"',
    )
    folder = run_store.Runs().folder_of(done.number)
    assert [(folder / name).read_text(encoding="utf-8") for name in done.summaries] == ["# Report ***\n"]
    assert done.artifacts == ["kept"]
    assert (folder / "artifacts/kept/deep/x").is_file()
    assert any("build number v9" in notice for notice in done.notices)
    assert [path.read_text(encoding="utf-8") for path in folder.glob("logs/*uploaded*")] == ["# Report ***\n"]
    assert laptop.log_of(done, "two").startswith("/first:")
    assert not (folder / "work").exists()


def test_a_script_may_print_anything(tmp_path: Path) -> None:
    script = r"""
printf 'bad \xff\xfe bytes\r\n'
head -c 10000000 /dev/zero | tr '\0' x; echo
echo '##[group]kept'; echo error >&2
printf 'no end'
"""
    lines = laptop.log_of(run(tmp_path, script), "one").splitlines()
    assert lines[0] == "bad �� bytes"
    assert len(lines[1]) == 10_000_000
    assert lines[2:] == ["##[group]kept", "error", "no end"]


def test_invisible_characters_are_not_logged(tmp_path: Path) -> None:
    script = r"""
printf 'a\u202eb\u200bc \033[1mbold\033[0m 1%%\r2%%\n##[section]kept\ttab\n'
echo '##vso[task.setsecret]s3cret'
printf 's3\u200bcret\n'
"""
    log = laptop.log_of(run(tmp_path, script), "one")
    assert log.splitlines()[:2] == ["2%", "##[section]kept\ttab"]
    assert log.splitlines()[-1] == "***"
    assert not {"\u202e", "\u200b", "\x1b", "\r"} & set(log)


def test_a_step_keeps_ten_issues(tmp_path: Path) -> None:
    done = run(tmp_path, f"for i in {{1..30}}; do {vso('task.logissue type=warning', 'again')}; done")
    assert len(laptop.steps_of(done)["one"].issues) == 10


@pytest.mark.parametrize("key", ["pwsh", "powershell"])
def test_powershell_runs_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    text = f"variables: {{x: 1}}\nsteps:\n- checkout: none\n- {{{key}: Write-Host $(x), displayName: one}}\n"
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    stand_in = tmp_path / "bin" / "pwsh"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\nfor last in "$@"; do :; done\ncat "$last"; exit 3\n', encoding="utf-8")
    assert f"`{key}` needs PowerShell" in laptop.run(tmp_path / "without", text).problem
    stand_in.chmod(0o755)
    done = laptop.run(tmp_path / "with", text)
    assert laptop.log_of(done, "one").splitlines()[:2] == ["$ErrorActionPreference = 'Stop'", "Write-Host 1"]
    assert "exit code 3" in laptop.steps_of(done)["one"].issues[0].text


@given(
    pieces=st.lists(st.sampled_from(["##vso[", "task.setvariable", " ", "variable=x", ";", "=", "]", "%3B", "v", "."]))
)
def test_any_line_is_a_command_of_two_parts_or_text(pieces: list[str]) -> None:
    found = logging_commands.parse("".join(pieces))
    if found is not None:
        assert len([part for part in found.name.split(".") if part]) == 2
        assert all(found.properties) and all(found.properties.values())


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.defpath, **more}


def test_a_child_process_does_not_delay_the_step(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "sleep 60 & echo $!; echo done"
    began = time.monotonic()
    assert processes.run(["bash", "-c", script], tmp_path, environment(), float("inf"), lines.append) == 0
    assert time.monotonic() - began < 10
    assert lines[1] == "done"
    psutil.Process(int(lines[0])).kill()


def test_a_process_that_is_stopped_may_clean_up(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "trap 'echo cleared; exit 0' TERM; echo ready; while :; do read -t 5 < <(:) ; done"
    with pytest.raises(processes.OutOfTimeError):
        processes.run(["bash", "-c", script], tmp_path, environment(), time.monotonic() + 1, lines.append)
    assert lines == ["ready", "cleared"]


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    script = "trap '' TERM; echo $$; while :; do :; done"
    lines: list[str] = []
    with pytest.raises(processes.OutOfTimeError):
        processes.run(["bash", "-c", script], tmp_path, environment(), time.monotonic() + 0.5, lines.append)
    assert not psutil.pid_exists(int(lines[0]))


def test_a_program_that_can_not_be_started(tmp_path: Path) -> None:
    for command, folder, more in (
        (["no-such-program"], tmp_path, {}),
        (["bash"], tmp_path / "no", {}),
        (["bash", "-c", "true"], tmp_path, {"BIG": "x" * 200_000}),
    ):
        with pytest.raises(UserError, match="can't be started"):
            processes.run(command, folder, environment(**more), float("inf"), print)


@settings(max_examples=20)
@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=60))
def test_every_line_is_read_whole(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    lines: list[str] = []
    folder = tmp_path_factory.getbasetemp()
    processes.run(["printf", "%s\n", text, "end"], folder, environment(), float("inf"), lines.append)
    assert lines == [text, "end"]
