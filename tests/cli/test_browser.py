"""What a person sees in the MLflow UI and in optuna-dashboard after a small study, by a real browser.

OMAD_SCREENSHOTS=docs/images keeps pictures of the pages there.
"""

import dataclasses
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser import PATIENCE_SECONDS, chromium, look, picture, wait_until_drawn
from mlflow import MlflowClient
from PIL import Image
from rich.console import Console

from cli.setup import lookup
from cli.show.status import StatusView

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
ROOT = Path(__file__).parents[2]
STUDY = ["run", "--task", "hopper", "--profile", "smoke", "--workers", "1", "--env-steps", "1200"]
STUDY += ["--trials", "4", "--set", "log_every_steps=50", "--set", "evaluation.every_steps=100"]
COLOURS = 128
PICTURED = 1_560
"""Pixels of the page, from its top, that are kept as a picture."""
HIDE_FOLDERS = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode;
  text.textContent = text.textContent.replace(/file:\\S*mlruns/, "file:///.../mlruns");
  text.textContent = text.textContent.replace(/sqlite:\\/{4}\\S*\\//, "sqlite:///");
}
"""
HIDE_TOOLS = """
const style = document.createElement("style");
style.textContent = ".modebar { display: none !important; }";
document.head.append(style);
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished study; OMAD_STUDY_FOLDER names one that is there already."""
    if ready := os.environ.get("OMAD_STUDY_FOLDER"):
        return Path(ready)
    made = tmp_path_factory.mktemp("study")
    done = _command(made, *STUDY)
    out, err = done.communicate(timeout=600)
    assert done.returncode == 0, out + err
    return made


def _command(folder: Path, *words: str) -> "subprocess.Popen[str]":
    hidden = ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """What `omad-search ui` prints."""
    process = _command(folder, "ui", "--port", "5650")
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


class Browser:
    """A page and what one reads on it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.server = driver, address.partition("/#")[0]

    def open(self, path: str) -> None:
        self.driver.get(f"{self.server}/#/{path}?workflowType=machine_learning")
        self.driver.refresh()

    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def wait_for(self, *words: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while missing := [word for word in words if word not in self.text()]:
            assert time.monotonic() < end, f"{missing} not on {self.driver.current_url}:\n{self.text()}"
            time.sleep(0.3)

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements("css selector", selector))

    def click(self, selector: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.driver.execute_script(
            "const found = document.querySelector(arguments[0]); if (found) found.click(); return !!found",
            selector,
        ):
            assert time.monotonic() < end, f"nothing to click on: {selector}"
            time.sleep(0.3)

    def shoot(self, name: str, taken: bytes | None = None) -> None:
        """Keep a picture of the page where they are wanted; `taken`: another one than of the window."""
        if location := os.environ.get("OMAD_SCREENSHOTS"):
            time.sleep(2)
            self.driver.execute_script(HIDE_FOLDERS)
            self.driver.execute_script(HIDE_TOOLS)
            seen = io.BytesIO(taken or self.driver.get_screenshot_as_png())
            with Image.open(seen) as whole:
                small = whole.convert("RGB").quantize(COLOURS)
            small.save(ROOT / location / f"{name}.png", optimize=True)


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    with chromium() as driver:
        driver.get(address)
        browser = Browser(driver, address)
        browser.wait_for("hopper")
        browser.click("button[data-component-id='mlflow.assistant.chat_panel.close']")
        yield browser


@pytest.fixture(scope="module")
def ids(folder: Path) -> dict[str, str]:
    """Ids of the experiment, of the study's run, of the best trial's run and of its model."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (study,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    number = study.data.tags["omad.best_trial"]
    own = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == study.info.run_id]
    (best,) = [run for run in own if run.data.tags.get("omad.trial") == number]
    model = best.data.tags["omad.model"].removeprefix("models:/")
    return {
        "experiment": experiment.experiment_id,
        "study": study.info.run_id,
        "best": best.info.run_id,
        "number": number,
        "model": model,
    }


def test_the_experiment_shows_the_study_with_its_trials_below_it(
    browser: Browser, address: str, ids: dict[str, str]
) -> None:
    browser.driver.get(address)
    browser.wait_for("hopper")
    browser.open(f"experiments/{ids['experiment']}")
    browser.wait_for("Runs", "hopper", "matching runs")
    assert "trial 0" not in browser.text()
    browser.click("button[data-component-id*='runnamecellrenderer']")
    browser.wait_for("trial 0", "trial 1", "omad-hopper")
    browser.shoot("runs")


def test_the_studys_run_tells_what_is_searched_and_how_it_went(browser: Browser, ids: dict[str, str]) -> None:
    browser.open(f"experiments/{ids['experiment']}/runs/{ids['study']}")
    browser.wait_for("study/best_value", "trial 0", "omad.progress", "trials ended", "proposed by tpe")
    browser.wait_for("space/critic.learning_rate")
    assert "Finished" in browser.text()
    browser.shoot("study")


def test_a_trials_curves_are_drawn(browser: Browser, ids: dict[str, str]) -> None:
    browser.open(f"experiments/{ids['experiment']}/runs/{ids['best']}/model-metrics")
    browser.wait_for("return_mean", "Step")
    end = time.monotonic() + PATIENCE_SECONDS
    while not browser.count(".js-plotly-plot .scatterlayer path.js-line"):
        assert time.monotonic() < end, "no chart has a curve"
        time.sleep(0.3)
    drawn = browser.driver.find_element("css selector", ".scatterlayer path.js-line").get_attribute("d")
    assert len(re.findall("[ML]", drawn)) >= 1
    assert len(re.findall(r"-?\d+\.?\d*,-?\d+\.?\d*", drawn)) > 4, "a curve has several points"
    browser.shoot("curves")


def test_the_report_and_the_pictures_are_among_the_studys_artifacts(
    browser: Browser, ids: dict[str, str]
) -> None:
    browser.open(f"experiments/{ids['experiment']}/runs/{ids['study']}/artifacts/report.md")
    browser.wait_for("report.md", "pictures", "spec.json", "on fresh episodes", "random play")
    browser.open(f"experiments/{ids['experiment']}/runs/{ids['best']}/artifacts/pictures/learning_curve.png")
    browser.wait_for("learning_curve.png")


def test_the_page_opens_within_mlflow_and_draws_its_plots(
    browser: Browser, folder: Path, ids: dict[str, str]
) -> None:
    done = _command(folder, "report", "hopper")
    out, err = done.communicate(timeout=300)
    assert "Page: hopper-report.html, and report.html of its run in MLflow" in out, err
    browser.open(f"experiments/{ids['experiment']}/runs/{ids['study']}/artifacts/report.html")
    end = time.monotonic() + PATIENCE_SECONDS
    while not (frames := browser.driver.find_elements("css selector", "iframe")):
        assert time.monotonic() < end, browser.text()
        time.sleep(0.3)
    browser.driver.switch_to.frame(frames[0])
    try:
        wait_until_drawn(browser.driver)
        assert "How to reproduce it" in browser.text()
        assert browser.count("svg.main-svg") > 4
        assert not browser.driver.find_element("id", "too-old").is_displayed()
    finally:
        browser.driver.switch_to.default_content()
    browser.shoot("report")


def test_the_page_is_a_file_that_a_browser_opens(browser: Browser, folder: Path) -> None:
    look(browser.driver, folder / "hopper-report.html", 1_000)
    assert "What was found" in browser.text()
    browser.driver.execute_script(HIDE_FOLDERS)
    browser.shoot("page", picture(browser.driver, PICTURED))
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_model_has_a_page_with_its_score_and_the_champion_a_card(
    browser: Browser, ids: dict[str, str]
) -> None:
    browser.open(f"experiments/{ids['experiment']}/models/{ids['model']}")
    browser.wait_for(
        f"trial-{ids['number']}", "score", "eval/return_mean", "Ready", "fresh episodes", "omad-hopper"
    )
    assert "Not registered" not in browser.text()
    browser.shoot("model")
    browser.open("models/omad-hopper")
    browser.wait_for(
        "omad-hopper", "champion", "Decentralised OMAD policies", "fresh episodes", "models serve"
    )
    browser.shoot("champion")


def test_optuna_dashboard_shows_the_best_trial_and_what_was_confirmed(browser: Browser, folder: Path) -> None:
    process = _command(folder, "ui", "--optuna", "--port", "5670")
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        browser.driver.get(address)
        browser.wait_for("hopper", "hopper-confirm", "MAXIMIZE")
        browser.driver.get(f"{address}/studies/1")
        browser.wait_for("Best Trial", "actor.learning_rate", "confirmed", "held-out seeds", "hopper-confirm")
        browser.wait_for("score", "models:/omad-hopper@champion")
        browser.driver.get(f"{address}/studies/2/trials")
        browser.wait_for("hopper-confirm", "candidate", "seed")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_the_terminal_is_drawn_where_pictures_are_wanted(folder: Path) -> None:
    seen = lookup.view(f"sqlite:///{folder}/omad.db", "hopper", None)
    seen = dataclasses.replace(seen, storage="sqlite:///omad.db", tracking="sqlite:///mlflow.db")
    console = Console(record=True, width=110, force_terminal=True, highlight=False, file=io.StringIO())
    console.print(StatusView(seen))
    picture = console.export_svg(title="omad-search status hopper")
    assert picture.count("complete") >= 1
    if location := os.environ.get("OMAD_SCREENSHOTS"):
        (ROOT / location / "terminal.svg").write_text(picture)


def test_a_plain_mlflow_ui_in_the_same_folder_shows_the_same(folder: Path, ids: dict[str, str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hidden = ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    with (folder / "plain.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
                break
            assert time.monotonic() < end, (folder / "plain.log").read_text()
            time.sleep(0.3)
        client = MlflowClient(address)
        names = {run.info.run_name for run in client.search_runs([ids["experiment"]])}
        assert {"hopper", "trial 0", f"trial {ids['number']}"} <= names
        wanted = f"{address}/get-artifact?path=report.md&run_uuid={ids['study']}"
        with urllib.request.urlopen(wanted, timeout=30) as answer:
            assert b"Return on fresh episodes" in answer.read()
        pictures = {file.path for file in client.list_artifacts(ids["best"], "pictures")}
        assert "pictures/learning_curve.png" in pictures
        assert client.get_model_version_by_alias("omad-hopper", "champion").description
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
