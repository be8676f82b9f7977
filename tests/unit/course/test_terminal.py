"""A terminal of the automated participant."""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kit_common.errors import UserError
from workshop.course.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A session in an empty folder."""
    made = Terminal(tmp_path, {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    yield made
    made.close()


def ready(lines: Sequence[str]) -> bool:
    return "ready" in lines


@pytest.mark.parametrize(
    ("command", "code", "lines"),
    [
        ("true", 0, []),
        ("false", 1, []),
        ("(exit 42)", 42, []),
        ("no-such-program 2>/dev/null", 127, []),
        ("echo one; echo two >&2; printf three", 0, ["one", "two", "three"]),
        ("echo '…'; printf 'a\\n\\nb\\n\\n'", 0, ["…", "a", "", "b"]),
        ("cat; read answer || echo end of input", 0, ["end of input"]),
        ("printf '\\033[31mred\\033[0m\\n10 %%\\r90 %%\\n'", 0, ["red", "90 %"]),
        ("kill -TERM $BASHPID & wait $!", 143, []),
        ("printf 'a\\0b\\n'", 0, ["ab"]),
        ("echo 'a\nb' \\\n  c # a comment", 0, ["a", "b c"]),
        ("seq 100000 | tail -n 1", 0, ["100000"]),
    ],
)
def test_a_command_ends_with_its_code_and_its_output(
    terminal: Terminal, command: str, code: int, lines: list[str]
) -> None:
    assert terminal.run(command) == (code, lines)
    assert terminal.run(f"echo $? # of {command!r}".splitlines()[0]) == (0, [str(code)])


def test_folder_variables_and_functions_carry_over(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "activate").write_text("hello() { echo hello $NAME; }\n", encoding="utf-8")
    assert terminal.run("cd 'a b' && export NAME=Ana").code == 0
    assert terminal.folder == tmp_path / "a b"
    assert terminal.run("source ./activate").code == 0
    assert terminal.run("hello").lines == ["hello Ana"]
    assert terminal.run("bash -c 'echo $NAME'").lines == ["Ana"]


def test_much_output_is_taken_whole(terminal: Terminal) -> None:
    assert terminal.run("seq 200000").lines == [str(number) for number in range(1, 200001)]


def test_a_background_process_holds_nothing_up(terminal: Terminal) -> None:
    assert terminal.run("sleep 600 & echo started") == (0, ["started"])
    assert terminal.run("kill $!; echo ended") == (0, ["ended"])


def test_a_command_runs_on_once_it_is_ready_and_is_ended_by_the_next(terminal: Terminal) -> None:
    server = "trap 'echo bye; exit 7' INT; echo ready; while :; do read -t 60 line < log && echo got $line; done"
    terminal.run("mkfifo log")
    assert terminal.run(f"bash -c {shlex.quote(server)}", ready, timeout=60) == (None, ["ready"])
    with Path(terminal.folder, "log").open("w", encoding="utf-8") as log:
        log.write("request\n")
    assert terminal.follow(lambda lines: lines == ["got request"], timeout=60) == (None, ["got request"])
    assert terminal.run("echo $?") == (0, ["7"])
    with pytest.raises(UserError, match="No command runs in this terminal"):
        terminal.follow(ready, timeout=60)


def test_a_command_that_runs_on_does_not_wait_for_a_reader(terminal: Terminal, tmp_path: Path) -> None:
    done = tmp_path / "done"
    os.mkfifo(done)
    assert terminal.run(f"bash -c 'echo ready; seq 100000; echo > {done}; sleep 600'", ready, timeout=60).code is None
    assert done.read_text(encoding="utf-8") == "\n"  # which waits for the writer


def test_a_command_that_ends_before_it_is_ready_has_ended(terminal: Terminal) -> None:
    assert terminal.run("echo failed; false", ready, timeout=60) == (1, ["failed"])


def test_a_command_without_end_is_out_of_time(terminal: Terminal) -> None:
    with pytest.raises(TimeoutError) as error:
        terminal.run("echo begun; sleep 600", timeout=0.5)
    assert error.value.args == (["begun"],)
    assert terminal.run("echo the next one") == (0, ["the next one"])


@pytest.mark.parametrize("command", ["exit 3", "exec true", "kill -KILL $$"])
def test_a_command_that_ends_the_session_is_an_error(terminal: Terminal, command: str) -> None:
    with pytest.raises(UserError, match="has ended the session itself"):
        terminal.run(command)
    with pytest.raises(UserError, match="The session has ended"):
        terminal.run("true")
