"""Passwords never leave: not in addresses, not in messages that quote them."""

import pytest

from tracking.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:hunter2@db.org/runs", "postgresql://ann:***@db.org/runs"),
        (
            "postgresql+psycopg://ann:hunter2@db.org:5432/runs",
            "postgresql+psycopg://ann:***@db.org:5432/runs",
        ),
        ("postgresql://ann:hun@ter/2@db.org/runs", "postgresql://ann:***@db.org/runs"),
        ("postgresql://:hunter2@db.org/runs", "postgresql://:***@db.org/runs"),
        ("mysql://ann:hunter2@db.org/runs?ssl=1", "mysql://ann:***@db.org/runs?ssl=1"),
        (
            "postgresql://db.org/runs?user=ann&password=hunter2",
            "postgresql://db.org/runs?user=ann&password=***",
        ),
        ("postgresql://db.org/runs?PASSWORD=hunter2&a=b", "postgresql://db.org/runs?PASSWORD=***&a=b"),
        ("https://ann:hunter2@ml.org/x", "https://***@ml.org/x"),
        ("https://hunter2@ml.org/x", "https://***@ml.org/x"),
        ("https://ml.org/x?token=hunter2", "https://ml.org/x?token=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dhunter2", "mssql+pyodbc:///?odbc_connect=***"),
        ("host=db.org password=hunter2 dbname=x", "host=db.org password=*** dbname=x"),
        ("host=db.org password='hunter2 and 3' dbname=x", "host=db.org password=*** dbname=x"),
        (
            "API request to http://ann:hunter2@ml.org:5000/api failed, see http://ml.org/help",
            "API request to http://***@ml.org:5000/api failed, see http://ml.org/help",
        ),
        (
            "OperationalError: (postgresql://ann:hunter2@db.org/runs) and postgresql://bob:hunter2@db.org/x",
            "OperationalError: (postgresql://ann:***@db.org/runs) and postgresql://bob:***@db.org/x",
        ),
    ],
)
def test_passwords_and_tokens_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///omad.db",
        "http://127.0.0.1:5000",
        "http://ml.org:5000/#/experiments/1/runs/abc?workflowType=machine_learning",
        "https://ml.org:5000/models/omad-hopper@champion",
        "postgresql://ann@db.org/runs",
        "models:/omad-hopper@champion",
        "git@github.com:someone/project.git",
        "The study hopper has 3 trials: a, b@c.",
    ],
)
def test_what_holds_no_secret_is_left_alone(text: str) -> None:
    assert redact(text) == text
