# The verbs of docs/contributing.md. `just` lists them; each is one plain command, also without just.

default:
    @just --list

# An environment for development in .venv
setup:
    python3 -m venv .venv && . .venv/bin/activate && pip install -e '.[test]'

# Everything CI runs, but for the fresh environment
check:
    ruff check . && ruff format --check . && mypy && pytest -n 2

# One test: just test tests/cli/test_main.py -k version
test *args:
    pytest {{args}}

# Tests over half a minute, those with a browser among them
slow:
    pytest -n 2 -m slow

# Tests that need a CUDA device
gpu:
    pytest -m gpu

# What a person sees in the MLflow UI, by a real browser
browser:
    pytest -m slow tests/cli/test_browser.py

# docs/reference.md, made from the code
reference:
    python tests/support/reference.py

# A debugger on one worker of a study, in this terminal
debug-worker study *args:
    python -m pdb -m cli.main worker {{study}} --device cpu {{args}}

# A profile of a training, the calls that take longest first
profile task="hopper":
    python -m cProfile -s tottime -m cli.main train --task {{task}} --profile smoke
