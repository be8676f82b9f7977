"""The steps of a page, and the mistakes in it."""

from pathlib import Path

import pytest

from workshop.course.page import Command, Edit, PageError, Place, figures_in, read_page

PAGE = """\
# Part 3: 0.5 in a title

The AUC is 0.844 of 6,497 wines (2.5 %), not `0.999` or [that](page_0.7.md), with Python 3.11 on 127.0.0.1.

```console
$ cd workshop # a comment
$ workshop run \\
    --run-name dev-ana
part_1_1: 8 cells

done

$ false
$ echo $?
1
```

::::{tab-set}
:::{tab-item} Laptop
:sync: laptop

1. Indented:

   ```console
   $ pwd
   /home/ana
   ```
:::
:::{tab-item} Azure
:sync: azure
It takes 9.75 % longer.
```console
$ az login
```
:::
::::

:::{dropdown} Solution
```{code-block} console
:caption: Second terminal

$ workshop serve
ready
```
```{code-block} console
:caption: Second terminal
answers now
```
:::
:::{dropdown} Other systems
:class: not-run
```console
$ conda activate
```
:::
```python
$ this is no command, and 0.123 no figure
```
```diff
--- part_1_1_data_prep.ipynb, under "Load and validate"
 same
-old
+new
```
```diff
--- part_1_2_training.ipynb, under "Train"
+++ part_4_new_training_code.ipynb, under "Train"
```
```diff
--- /dev/null
+++ notes.txt
+a line
```
"""


def read(folder: Path, text: str) -> object:
    path = folder / "docs" / "part_3.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return read_page(path)


def test_the_steps_of_a_page_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "part_3.md"
    path.write_text(PAGE, encoding="utf-8")
    page = read_page(path)
    train = Place("part_1_2_training.ipynb", "Train")
    better = Place("part_4_new_training_code.ipynb", "Train")
    assert [page.lines[step.line - 1].strip() for step in page.steps] == [
        "$ cd workshop # a comment",
        "$ workshop run \\",
        "$ false",
        "$ echo $?",
        "$ pwd",
        "$ workshop serve",
        "answers now",
        '--- part_1_1_data_prep.ipynb, under "Load and validate"',
        '--- part_1_2_training.ipynb, under "Train"',
        "--- /dev/null",
    ]
    commands = [step for step in page.steps if isinstance(step, Command)]
    assert [step.text for step in commands] == [
        "cd workshop # a comment",
        "workshop run \\\n    --run-name dev-ana",
        "false",
        "echo $?",
        "pwd",
        "workshop serve",
        "",
    ]
    assert [step.expected for step in commands] == [
        (), ("part_1_1: 8 cells", "", "done"), (), ("1",), ("/home/ana",), ("ready",), ("answers now",),
    ]  # fmt: skip
    assert [step.terminal for step in commands] == [""] * 5 + ["Second terminal"] * 2
    for step in commands:
        assert [page.lines[at].strip() for at in step.shown] == [line.strip() for line in step.expected]
    edits = [step for step in page.steps if isinstance(step, Edit)]
    assert [(step.place, step.changes, step.source) for step in edits] == [
        (Place("part_1_1_data_prep.ipynb", "Load and validate"), (" same", "-old", "+new"), None),
        (train, (), better),
        (Place("notes.txt"), ("+a line",), Place("/dev/null")),
    ]
    assert page.figures == ((1, "0.5"), (3, "0.844"), (3, "6,497"), (3, "2.5 %"))
    assert page.blocks == 7


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a\n```console\n$ true\n", 2, "the block is not closed"),
        (":::{tab-item} Laptop\n", 1, "the tab-item is not closed"),
        (":::{tab-item} Linux\n:::\n", 1, "the tab 'Linux' is unknown"),
        (":::{tab-item} Laptop\n:sync: azure\n:::\n", 1, "the tab 'Laptop' is unknown"),
        (":::{tab-set}\n:::{tab-item} Laptop\n:::\n:::\n", 2, "fewer colons"),
        ("::::{tab-set}\n:::\n", 2, "no directive with 3 colons is open"),
        (":::\n", 1, "no directive with 3 colons is open"),
        ("```console\noutput\n$ true\n```\n", 2, "begins with a command"),
        ("```console\n\n```\n", 3, "begins with a command"),
        ("```console\n$ true \\\n```\n", 2, "ends with a backslash"),
        ("```{code-block} console\n:caption: Second\n```\n", 3, "begins with a command"),
        ("```{code-block} console\n:caption: Second\noutput\n$ true\n```\n", 3, "begins with a command"),
        ("````{note}\n```console\n$ true\n```\n````\n", 1, "is written with colons"),
        ("```diff\n-old\n+new\n```\n", 2, "begins with its place"),
        ("```diff\n--- a.txt, in the middle\n-old\n```\n", 2, "begins with its place"),
        ("```diff\n+++ a.txt\n-old\n```\n", 2, "begins with its place"),
        ("```diff\n--- a.txt\n```\n", 2, "an edit has lines"),
        ("```diff\n--- a.txt\n+++ b.txt\n-old\n```\n", 2, "an edit has lines"),
        ("```diff\n--- /dev/null\n+++ b.txt\n```\n", 2, "an edit has lines"),
        ("```diff\n--- a.txt\n-old\nnew\n```\n", 4, "begins with `+`, `-` or a blank"),
    ],
)
def test_a_malformed_page_is_refused_with_page_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(PageError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"docs/part_3.md, line {line}: ")
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("from 0.810 to 0.844: +0.034", ["0.810", "0.844", "+0.034"]),
        ("a 97.5 % lower bound, 80 % power, 5% of it", ["97.5 %", "80 %", "5%"]),
        ("6,497 wines, 1,234,567 rows, in 2026, 12 of 13", ["6,497", "1,234,567"]),
        ("version 1.2.3 on 127.0.0.1:8080, Python 3.11, part_1.5", []),
        ("It is 0.81. Then 0.82, and (0.83)", ["0.81", "0.82", "0.83"]),
        ("`0.5` and ``0.6 ` 0.7`` and <https://a.b/0.8> and [0.9](0.95)", ["0.9"]),
    ],
)
def test_decimals_percentages_and_thousands_are_figures(text: str, figures: list[str]) -> None:
    assert list(figures_in(text)) == figures
