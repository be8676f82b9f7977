"""Values of expressions, and expressions that are refused."""

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_devops_local.language.documents import parse
from azure_devops_local.language.expressions import check, evaluate, references
from azure_devops_local.language.values import ExpressionError, Version, as_text, is_true

SCOPE: dict[str, Any] = {
    "variables": {"Build.SourceBranch": "refs/heads/main", "empty": "", "one": "1", "flag": "true"},
    "parameters": {
        "yes": True,
        "no": False,
        "count": 3,
        "half": Decimal("0.5"),
        "names": ["a", "B"],
        "object": {"Key": "v", "n": "2"},
        "list": [{"id": 7, "tags": ["x", "z"]}, {"id": 8, "tags": ["y"]}, "no object"],
        "written": parse("Key: v", "try.yml"),
    },
    "dependencies": {"CI": {"result": "Succeeded", "outputs": {"judge.better": "true"}}},
}


TRUE = [
    "eq(true, 'false')",  # any text that is not empty is true
    *["true", "eq('A', 'a')", "EQ(variables.flag, true)", "eq(parameters.no, '')", "le(3, parameters.count)"],
    *[
        "eq(1, '1.0')",
        "eq('1', 1)",
        "eq(variables.missing, '')",
        "ne(1, 'x')",
        "gt(2, '1')",
        "ge('b', 'B')",
        "lt('a', 'b')",
    ],
    *["and(true, 'x', 1)", "not('')", "xor(true, '')", "in('a', 'b', 'A')", "notIn('a', 'b', 'c')"],
    *["contains(variables['Build.SourceBranch'], 'HEADS')", "containsValue(parameters.names, 'b')"],
    *["containsValue(parameters.object, 'V')", "startsWith('Refs', 'refs')", "endsWith('a.YML', '.yml')"],
    *["or(true, lt('a', parameters.names))", " eq( 1 ,\n 1 ) "],
]
FALSE = [
    *[
        "eq(1, 'one')",
        "eq(variables.missing, 0)",
        "eq(parameters.names, 'a')",
        "eq('a', parameters.names)",
        "and(true, '')",
    ],
    *["or(false, variables.missing, 0)", "not(parameters.names)", "in(1, 'x', '2')", "containsValue('abc', 'b')"],
    *["and(false, lt('a', parameters.names))"],
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in TRUE),
        *((text, False) for text in FALSE),
        ("''", ""),
        ("'it''s'", "it's"),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("variables.one", "1"),
        ("variables['Build.SourceBranch']", "refs/heads/main"),
        ("VARIABLES['build.sourcebranch']", "refs/heads/main"),
        ("variables.missing", None),
        ("parameters.names[1]", "B"),
        ("parameters.names[-1]", None),
        ("dependencies.CI.outputs['judge.better']", "true"),
        ("coalesce(variables.missing, '', 'last')", "last"),
        ("coalesce(parameters.names, 'x')", ["a", "B"]),
        ("coalesce(variables.missing, '')", None),
        ("format('{0}-{1} {{{0}}}', 'a', 2)", "a-2 {a}"),
        ("format('{0}', parameters.yes)", "True"),
        ("join(', ', parameters.names)", "a, B"),
        ("lower('ÄB')", "äb"),
        ("upper(parameters.yes)", "TRUE"),
        ("upper('ß')", "ß"),
        ("contains('Straße', 'SS')", False),
        ("format('x', parameters.names, lt(1, 'x'))", "x"),
        ("format('{0}', 12345678901234567890)", "12345678901234567890"),
        ("eq(9007199254740993, 9007199254740992)", False),
        ("eq('0.1234567891', 0.1234567891)", False),
        ("gt(variables.missing, -1)", True),
        ("parameters.object[parameters.names]", None),
        ("1.2.2147483647", Version((1, 2, 2**31 - 1))),
        ("trim('  x ')", "x"),
        ("replace('a/b/c', '/', '-')", "a-b-c"),
        ("replace('abc', '', '-')", "abc"),
        ("split('a, b,c, d', ', ')", ["a", "b,c", "d"]),
        ("split('a,,b', ',')", ["a", "", "b"]),
        ("split('a/b', '/')[1]", "b"),
        ("parameters.list.*.id", [7, 8]),
        ("parameters.list[*].id", [7, 8]),
        ("parameters.list.*.tags[0]", ["x", "y"]),
        ("parameters.list.*.tags.*", ["x", "z", "y"]),
        ("join('-', variables.missing.*.id)", ""),
        ("parameters.names['1']", "B"),
        ("parameters.names[1.9]", "B"),
        ("parameters.names[variables.missing]", "a"),
        ("parameters.written.Key", "v"),
        ("parameters.written.key", None),
        ("1.", 1),
        ("eq(1.2.3, '1.2.3')", True),
        ("lt(1.9.0, 1.10.0)", True),
        ("gt(1.10, 1.9)", False),
        ("lt(1.2.0, '1.3')", True),
        ("lt(1.2.0, 1.3)", True),
        ("eq(1.2.0, '1.2')", False),
        ("format('{0}', 1.2.3)", "1.2.3"),
        ("eq(1000, '1,000')", True),
        ("eq(1000, '1e3')", False),
        ("eq(1000, '1_000')", False),
        ("lt('a_', 'ab')", False),
        ("eq(parameters.names, parameters.names)", True),
        ("eq(parameters.names, split('a,B', ','))", False),
        ("in(1, '1', lt(1, 'x'))", True),
        ("coalesce('x', lt(1, 'x'))", "x"),
        (f"length({'not(' * 48}false{')' * 48})", 5),
        ("parameters.object" + ".a" * 60, None),
        ("length(parameters.names)", 2),
        ("iif(parameters.no, 1, 'else')", "else"),
    ],
)
def test_value(text: str, value: Any) -> None:
    found = evaluate(text, SCOPE)
    assert (found, type(found) is bool) == (value, type(value) is bool)


def test_object_as_json() -> None:
    assert evaluate("convertToJson(split('Grün', ','))", {}) == '[\n  "Grün"\n]'
    assert evaluate("convertToJson(1)", {}) == "1"
    assert evaluate("convertToJson(0.00000012)", {}) == "0.0000001"
    assert evaluate("convertToJson(x)", {"x": {"a": [], "b": [{"c": {}}]}}) == (
        '{\n  "a": [],\n  "b": [\n    {\n      "c": {}\n    }\n  ]\n}'
    )
    assert json.loads(evaluate("convertToJson(parameters.object)", SCOPE)) == {"Key": "v", "n": "2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        ("null", "`null` cannot be written"),
        ("eq", "`eq` is a function: write its arguments"),
        ("1 == 1", "(see character 3): there are no operators"),
        ("!true", "(see character 1): there are no operators"),
        ("eq(true && false, true)", "there are no operators"),
        ("1e3", "not an expression"),
        ("1.2.3.4.5", "not an expression"),
        ("parameters.object.9x", "not an expression"),
        ("in('x')", "`in` does not take 1 arg"),
        ("iif(true, 'x', lt(1, 'bad'))", "the String `bad` cannot be converted to Number"),
        ("gt(parameters.names, parameters.names)", "cannot be converted to Array"),
        ("parameters.list.*.id[", "not an expression"),
        ("eq(1,,2)", "see character 6"),
        ("and(\n  true\n  false\n)", "`and( true false )` is not an expression (see character 11)"),
        ('"double"', "write text in single quotes"),
        ("lt(variables.missing, 'x')", "the String `x` cannot be converted to Number"),
        ("1.2.2147483648", "`1.2.2147483648` is too large"),
        ("eq(1, 79228162514264337593543950336)", "is too large"),
        ("convertToJson('a', 'b')", "does not take 2 arguments"),
        ("(true)", "no brackets for grouping"),
        ("counter('x', 1)", "`counter` is not implemented"),
        ("substring('abc', 1, 2)", "`substring` is not implemented"),
        ("succeeded()", "`succeeded` can only be used in a condition"),
        ("startWith('a', 'b')", "there is no function `startWith`; did you mean `startswith`?"),
        ("toJson('a')", "there is no function `toJson`"),
        ("eq(1)", "`eq` does not take 1 arg"),
        ("and(true)", "`and` does not take 1 arg"),
        ("resources.x", "`resources` is not implemented"),
        ("secrets.x", "`secrets` is not known at this point: use one of variables, parameters, dependencies"),
        ("lt('a', parameters.names)", "can't be compared"),
        ("gt(1, 'x')", "can't be compared"),
        ("contains(parameters.names, 'a')", "convertToJson"),
        ("format('{1}', 'x')", "no argument for `{1}`"),
        ("format('{0:yyyy}', 'x')", "no argument for `{`"),
        ("not(" * 50 + "true" + ")" * 50, "more than 50 levels deep"),
        ("not(" * 2000 + "true" + ")" * 2000, "more than 50 levels deep"),
        ("x" + ".x" * 5000, "too long"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, SCOPE)
    assert message in str(caught.value)


def test_further_functions() -> None:
    assert evaluate("and(Succeeded('A'), always())", {}, {"succeeded": lambda job: job == "A", "always": lambda: True})


def test_check_includes_arguments_that_are_not_evaluated() -> None:
    check("or(true, succeeded(), variables.x)", ["variables"], {"succeeded": False})
    with pytest.raises(ExpressionError, match="`succeeded` takes no arguments"):
        check("succeeded('A')", ["variables"], {"succeeded": False})
    with pytest.raises(ExpressionError, match="`nope`"):
        check("or(true, nope())", ["variables"])
    with pytest.raises(ExpressionError, match="`parameters` is not known"):
        check("or(true, parameters.x)", ["variables"])
    with pytest.raises(ExpressionError, match="`eq`"):
        check("or(true, eq(1))", ["variables"])


def test_references() -> None:
    assert references(
        "and(eq(variables.a, Variables['b.c']), dependencies.J.outputs['s.x'], variables[lower('X')])"
    ) == {
        ("variables", "a"),
        ("variables", "b.c"),
        ("dependencies", "J"),
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(None, ""), (True, "True"), (False, "False"), (3, "3"), ("x", "x"), (Decimal("-0.0"), "0")],
        *[(Decimal("1.0"), "1"), (Decimal("0.5"), "0.5"), (Decimal("1e20"), "1" + 20 * "0")],
        *[(Decimal("1.23456785"), "1.2345679"), (Decimal("1e-8"), "0"), (Decimal(2**96 - 1), str(2**96 - 1))],
    ],
)
def test_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text


@given(st.text())
def test_any_text_can_be_written_as_a_literal(text: str) -> None:
    literal = "'" + text.replace("'", "''") + "'"
    assert evaluate(literal, {}) == text
    assert evaluate(f"length({literal})", {}) == len(text)


VALUES = st.none() | st.booleans() | st.decimals(-(2**96), 2**96) | st.text()


@given(VALUES | st.lists(VALUES) | st.dictionaries(st.text(), VALUES))
def test_everything_equals_itself(value: Any) -> None:
    assert evaluate("eq(x, x)", {"x": value}) is True
    assert evaluate("ne(x, x)", {"x": value}) is False
    assert evaluate("not(x)", {"x": value}) is not is_true(value)


@given(st.text(), st.text())
def test_text_is_compared_in_exactly_one_way(left: str, right: str) -> None:
    scope = {"l": left, "r": right}
    assert [evaluate(f"{name}(l, r)", scope) for name in ("lt", "eq", "gt")].count(True) == 1


@given(st.text(alphabet="ab.()[],'01 {$", max_size=30))
def test_any_text_is_evaluated_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        evaluate(text, {"a": {"b": "x"}})
