import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workshop.core.promotion.auc import Comparison
from workshop.core.promotion.texts import compared, percent

BETTER = Comparison(0.84406, 0.81027, 0.03379, 0.010555, 0.0007)
_FORM = re.compile(
    r"AUC \d\.\d{3,} vs \d\.\d{3,}( on red wines)?: [+-]\d\.\d{3,} "
    r"\(\S+ % (lower|upper) bound (?P<bound>[+-]\d\.\d{3,}); needs (>|≥) (?P<limit>\S+)\)"
)


def test_a_comparison_in_short() -> None:
    expected = "AUC 0.844 vs 0.810: +0.034 (97.5 % lower bound +0.013; needs > 0)"
    assert compared(BETTER, "lower", 0.975, 0.0) == expected
    on_reds = "AUC 0.844 vs 0.810 on red wines: +0.034 (97.5 % upper bound +0.054; needs ≥ -0.01)"
    assert compared(BETTER, "upper", 0.975, -0.01, " on red wines") == on_reds


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1e-6, 0.2),
    st.sampled_from([0.5, 0.9, 0.975, 0.9999]),
    st.floats(0, 0.4),
)
@example(0.81004, 0.81, 1e-6, 0.5, 0.0)  # above the limit by less than three digits show
@example(0.80996, 0.81, 1e-6, 0.5, 0.0)
def test_the_printed_bound_is_on_the_side_of_the_limit_where_the_bound_is(
    candidate: float, champion: float, error: float, confidence: float, limit: float
) -> None:
    comparison = Comparison(candidate, champion, candidate - champion, error, 0.5)
    for side, bound, needed in (
        ("lower", comparison.lower_bound(confidence), limit),
        ("upper", comparison.upper_bound(confidence), 0 - limit),
    ):
        found = _FORM.fullmatch(compared(comparison, side, confidence, needed))  # type: ignore[arg-type]
        assert found is not None
        assert float(found["limit"]) == needed
        if abs(bound - needed) > 1e-14:
            assert (float(found["bound"]) > needed) == (bound > needed)


@pytest.mark.parametrize(
    ("confidence", "text"),
    [(0.8, "80 %"), (0.975, "97.5 %"), (0.99, "99 %"), (0.9958333, "99.58 %"), (0.99999, "99.999 %"), (1.0, "100 %")],
)
def test_a_percentage_rounds_to_100_only_at_1(confidence: float, text: str) -> None:
    assert percent(confidence) == text
