import pytest

from node.config.yaml12 import parse


def values(text, **environment):
    document = parse(text, "c.yaml", environment)
    assert document.faults == []
    return document.data


def problems(text, **environment):
    return [(fault.line, fault.key) for fault in parse(text, "c.yaml", environment).faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ON", "ON"),
        ("yes", "yes"),
        ("True", "True"),
        ("true", True),
        ("false", False),
        ("0010", "0010"),
        ("0o10", "0o10"),
        ("12:30", "12:30"),
        ("10", 10),
        ("-3", -3),
        ("1.5", 1.5),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'10'", "10"),
        ("0x1F", "0x1F"),
    ],
)
def test_a_plain_scalar_is_what_yaml_1_2_says(text, value):
    assert values(f"key: {text}")["key"] == value


def test_a_repeated_key_is_a_fault_with_its_line():
    assert problems("a: 1\nb:\n  c: 1\n  c: 2\n") == [(4, "b.c")]


def test_every_value_has_its_line():
    document = parse("a:\n  - b: 1\n    c: 2\n  - d\n", "c.yaml", {})
    assert document.line_of(("a", 0, "c")) == 3
    assert document.line_of(("a", 1)) == 4
    assert document.line_of(("a", 0, "missing")) == 2


def test_an_environment_variable_is_put_in_and_typed():
    data = values("a: ${LIMIT}\nb: '${LIMIT}'\nc: x${NAME}y", LIMIT="12", NAME="-")
    assert data == {"a": 12, "b": "12", "c": "x-y"}


def test_an_environment_variable_is_not_read_twice():
    assert values("a: ${ONE}", ONE="${TWO}", TWO="2") == {"a": "${TWO}"}


def test_an_unset_environment_variable_is_a_fault():
    assert problems("a: 1\nb: ${NO_SUCH}") == [(2, "b")]


@pytest.mark.parametrize("text", ["a: ${", "a: ${A-B}", "a: ${}"])
def test_a_malformed_environment_variable_is_a_fault(text):
    assert problems(text) == [(1, "a")]


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object:os.system x",
        "a: !own x",
        "a: !!binary eHl6",
        "a: !!set {x, y}",
        "x: &b {c: 1}\na:\n  <<: *b\n",
        "? [1, 2]\n: 3",
        "a: 1\n---\nb: 2",
        "a: [1, 2",
        "a: *nowhere",
        "a: &x [*x]",
        "a: \x00",
        "a: !!int yes",
        "[" * 5000,
    ],
)
def test_what_is_not_plain_yaml_is_a_fault_and_nothing_else(text):
    assert parse(text, "c.yaml", {}).faults


def test_aliases_cannot_multiply_without_bound():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert any("too many" in fault.problem for fault in parse("\n".join(lines), "c.yaml", {}).faults)
