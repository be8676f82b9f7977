"""The tables of a decision in a notebook."""

import re

import numpy as np

from workshop.core.parameters import Terms
from workshop.core.promotion import gate
from workshop.core.promotion.decision_tables import figures_table, guards_table
from workshop.core.promotion.outcome import Decision, Guard


def decision() -> Decision:
    random = np.random.default_rng(3)
    target = np.repeat([0, 1], [900, 300])
    candidate, champion = (0.4 * target + random.random(1200) for _ in range(2))
    red = np.arange(1200) % 2 == 0
    few = np.arange(1200) < 5
    return gate.decide(
        target, candidate, champion, Terms(detectable_improvement=0.4), {"red wines": red, "strong wines": few}
    )


def rows(html: str) -> list[list[str]]:
    found = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[re.sub("<.*?>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in found]


def test_counts_are_whole_numbers_and_figures_have_four_digits() -> None:
    made = decision()
    shown = dict(row for row in rows(figures_table(made).to_html()) if len(row) == 2)
    assert (shown["rows"], shown["positives"], shown["confidence"]) == ("1,200", "300", "0.975")
    assert shown["auc candidate"] == f"{made.auc_candidate:.4g}"


def test_guards_have_a_result_in_words_and_a_failed_one_is_highlighted() -> None:
    made = decision()
    made.guards.append(Guard("not worse on dry wines", False, "The candidate is much worse.", "verdict"))
    html = guards_table(made).to_html()
    shown = {row[0]: row[1] for row in rows(html)[1:]}
    assert shown["enough rows"] == "\u2713 passed"
    assert shown["not worse on dry wines"] == "\u2717 failed"
    last = len(made.guards) - 1
    assert re.search(rf"#T_\w+_row{last}_col0, #T_\w+_row{last}_col1, #T_\w+_row{last}_col2 {{[^}}]*#a3262a", html)
    assert html.count("#a3262a") == 1
