"""One trial is no trials: sentences count with `count(n, "trial")`, and no plural is written after a number."""

import ast
import re
from pathlib import Path

import pytest

from search.view.wording import count

ROOT = Path(__file__).parent.parent
NOUNS = [
    "trial",
    "worker",
    "run",
    "row",
    "result",
    "study",
    "slot",
    "lease",
    "point",
    "model",
    "candidate",
]
PLURAL = re.compile(rf"^ (held-out )?({'|'.join(NOUNS)})s\b|^ studies\b")


def plurals(tree: ast.AST) -> list[str]:
    """Text of f-strings in which a plural comes right after a value."""
    return [
        after.value
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for before, after in zip(node.values, node.values[1:], strict=False)
        if isinstance(before, ast.FormattedValue)
        and not (isinstance(before.value, ast.Name) and before.value.id.isupper())
        and isinstance(after, ast.Constant)
        and PLURAL.match(str(after.value))
    ]


@pytest.mark.parametrize("room", ["cli", "search", "tracking", "omad_core"])
def test_no_plural_is_written_after_a_number(room):
    bad = {
        file.name: found
        for file in (ROOT / room).rglob("*.py")
        if (found := plurals(ast.parse(file.read_text())))
    }
    assert not bad


def test_one_of_a_thing_is_singular():
    assert [count(n, "trial") for n in (0, 1, 2, 1_000)] == [
        "0 trials",
        "1 trial",
        "2 trials",
        "1,000 trials",
    ]
