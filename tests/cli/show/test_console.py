"""Sentences on a narrow terminal break at words; what one would copy stays whole."""

from cli.show.console import break_at_words

SENTENCE = "there is no study far away; `omad-search studies` lists them"


def test_a_sentence_breaks_at_words_and_its_code_stays_whole() -> None:
    assert break_at_words(SENTENCE, 80) == SENTENCE
    assert break_at_words(SENTENCE, 32).splitlines() == [
        "there is no study far away;",
        "`omad-search studies` lists them",
    ]
    assert break_at_words(SENTENCE, 12).splitlines()[3] == "`omad-search studies`", "longer than a line"


def test_lines_to_be_copied_are_left_to_the_terminal() -> None:
    for line in (
        "evaluate it: omad-search evaluate models:/omad-hopper@champion",
        "  pip install 'omad-search[mysql]'",
    ):
        assert break_at_words(line, 20) == line
