"""The search: an Optuna study with an exact budget, its workers and its results."""
