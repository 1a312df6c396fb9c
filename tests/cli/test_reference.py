"""docs/reference.md is what the code says today, and exit codes are what it says of them."""

from pathlib import Path

import pytest
import reference

from cli.errors import EXIT_CODES
from cli.main import main
from omad_core.config import TrainConfig
from omad_core.settings import fields

PAGE = reference.PAGE.read_text()


def test_the_page_is_what_the_code_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert reference.page() == PAGE, "`python tests/support/reference.py` writes it anew"


def test_the_page_has_every_setting_and_every_command_with_its_options() -> None:
    for path, _, info in fields(TrainConfig):
        assert f"| `{path}` |" in PAGE
        assert info.help in PAGE
    for name, command in reference.leaves():
        section = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert f"omad-search {name}" in section
        for param in command.params:
            assert param.param_type_name == "argument" or f"| `{param.opts[0]}" in section, (name, param.opts)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--version"], 0), (["status"], 1), (["status", "--no-such"], 2), (["run"], 2), (["best", "x"], 1)],
)
def test_commands_end_with_a_documented_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMAD_STORAGE", raising=False)
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == code
    assert f"| `{code}` | {EXIT_CODES[code]} |" in PAGE


def test_an_interrupt_ends_with_a_documented_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("search.study.catalog.find", interrupted)
    with pytest.raises(SystemExit) as left:
        main(["studies", "validate", "hopper"])
    assert left.value.code == 130
    assert left.value.code in EXIT_CODES
