"""Study files: found, layered in a stated order, and refused where anything in them is not understood."""

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from omad_core import settings
from omad_core.errors import ConfigError, OmadError, TaskError
from search.study import catalog
from search.study.pruners import PRUNERS, build_pruner
from search.study.request import StudyRequest
from search.study.samplers import SAMPLERS, build_sampler
from search.study.study_spec import StudySpec

SMALL = """
task = "hopper"
trials = 7
[train]
gamma = 0.98
actor.hidden_width = 32
[space]
gamma = { low = 0.9, high = 0.99 }
[profile.laptop]
seeds = 3
[profile.laptop.train]
actor.hidden_width = 48
[profile.mine.train]
env_steps = 2_000
random_steps = 100
"""


def build(file: Path, text: str = SMALL, **requested: Any) -> StudySpec:
    file.write_text(text)
    return catalog.build(catalog.find(str(file)), StudyRequest(**requested), has_gpu=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_users_file_lies_over_the_base_and_under_its_profile(file: Path) -> None:
    spec = build(file)
    assert (spec.name, spec.task, spec.profile) == ("mine", "hopper", "laptop")
    assert spec.seeds == 3
    assert spec.config.gamma == 0.98
    assert spec.config.actor.hidden_width == 48
    assert spec.config.critic.hidden_width == 128, "the base's laptop profile applies as well"
    assert spec.trials == 7, "a file lies over the base and its profile"
    assert "actor.learning_rate" in spec.space.paths, "the base's space is kept"


def test_explicit_requests_override_all_and_leave_the_search(file: Path) -> None:
    spec = build(file, train={"gamma": 0.5, "actor.hidden_width": 8}, numbers={"trials": 2, "seeds": 1})
    assert (spec.config.gamma, spec.config.actor.hidden_width, spec.trials, spec.seeds) == (0.5, 8, 2, 1)
    assert "gamma" not in spec.space.paths


def test_fixing_a_condition_leaves_only_what_it_allows(file: Path) -> None:
    paths = build(file, train={"entropy.mode": "fixed"}).space.paths
    assert "entropy.alpha" in paths
    assert not {"entropy.mode", "entropy.target"} & set(paths)


@pytest.mark.parametrize("profile", catalog.find("hopper").profiles)
def test_the_documented_example_means_what_it_says_with_every_profile(file: Path, profile: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "studies.md").read_text()
    spec = build(file, page.split("```toml\n")[1].split("```")[0], profile=profile)
    steps = 6_000 if profile == "laptop" else 50_000
    assert (spec.trials, spec.seeds, spec.config.env_steps) == (40, 2, steps)
    assert spec.config.actor.hidden_width == 128
    quantiles = {"critic.quantiles"} if spec.config.critic.head == "quantile" else set()
    assert set(spec.space.paths) == quantiles | {
        "batch_size",
        "gamma",
        "actor.diffusion_time",
        "actor.learning_rate",
        "critic.learning_rate",
        "entropy.mode",
        "entropy.target",
        "entropy.alpha",
    }
    ranges = {dimension.path: dimension.ends() for dimension in spec.space.dimensions}
    assert ranges["gamma"] == (0.97, 0.997)
    assert ranges.get("critic.quantiles", (8, 32)) == (8, 32)
    assert spec.pruner.options["warmup_fraction"] == 0.5
    spec.configs(FixedTrial(spec.defaults()))


@pytest.mark.parametrize("profile", catalog.find("hopper").profiles)
def test_what_a_file_takes_out_of_the_search_stays_out(file: Path, profile: str) -> None:
    searched = build(file, 'task = "hopper"', profile=profile).space.paths
    for path in searched:
        left = build(file, f'task = "hopper"\n[space]\n{path} = false', profile=profile).space.paths
        assert path not in left


def test_a_range_of_a_file_holds_against_a_value_of_a_profile(file: Path) -> None:
    text = 'task = "hopper"\n[space]\nactor.denoising_steps = { low = 5, high = 12 }'
    assert build(file, text, profile="smoke").defaults()["actor.denoising_steps"] == 5
    assert build(file, text, profile="gpu").defaults()["actor.denoising_steps"] == 8
    with pytest.raises(ConfigError, match=r"actor.denoising_steps = 2 lies outside"):
        build(file, text + "\n[profile.smoke.train]\nactor.denoising_steps = 2", profile="smoke")


def test_a_file_may_bring_its_own_profile(file: Path) -> None:
    spec = build(file, profile="mine")
    assert (spec.profile, spec.trials, spec.config.env_steps) == ("mine", 7, 2_000)


def test_a_file_may_extend_a_shipped_study(file: Path) -> None:
    spec = build(file, 'extends = "swimmer_2x1"\nname = "swim"\n[train]\ngamma = 0.995')
    assert (spec.name, spec.task) == ("swim", "swimmer_2x1")
    gamma = next(dimension for dimension in spec.space.dimensions if dimension.path == "gamma")
    assert gamma.ends() == (0.98, 0.9995)


def test_a_file_may_take_a_setting_out_of_the_search(file: Path) -> None:
    assert "gamma" not in build(file, 'task = "hopper"\n[space]\ngamma = false').space.paths


def test_a_new_sampler_does_not_inherit_the_options_of_another(file: Path) -> None:
    spec = build(file, 'task = "hopper"\n[profile.laptop.sampler]\nname = "random"')
    assert (spec.sampler.name, spec.sampler.options) == ("random", {})
    assert "startup_trials" in build(file).sampler.options


NAMES = [("sampler", name) for name in SAMPLERS] + [("pruner", name) for name in PRUNERS]


@pytest.mark.parametrize("profile", catalog.find("hopper").profiles)
@pytest.mark.parametrize(("what", "name"), NAMES)
def test_every_sampler_and_pruner_goes_with_every_profile(
    file: Path, what: str, name: str, profile: str
) -> None:
    spec = build(file, f'task = "hopper"\n[{what}]\nname = "{name}"', profile=profile)
    assert getattr(spec, what).name == name
    config = spec.config
    pruner = build_pruner(spec.pruner, config)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for slot in range(3):
        study.sampler = build_sampler(spec.sampler, spec.seed, slot, spec.space.parameters)
        trial = study.ask()
        spec.configs(trial)
        trial.report(1.0, config.evaluation.every_steps)
        trial.should_prune()
        study.tell(trial, 1.0)


@pytest.mark.parametrize("name", PRUNERS)
def test_options_belong_to_the_name_under_which_they_were_written(file: Path, name: str) -> None:
    text = f"""
task = "hopper"
[pruner]
name = "patient"
patience = 7
[profile.laptop.pruner]
name = "{name}"
[profile.gpu.pruner]
patience = 9
"""
    assert build(file, text).pruner.options.get("patience") == (7 if name == "patient" else None)
    assert build(file, text, profile="gpu").pruner.options["patience"] == 9
    assert build(file, text, profile="smoke").pruner.options["patience"] == 7


def test_options_of_a_name_that_did_not_stay_are_checked_all_the_same(file: Path) -> None:
    text = 'task = "hopper"\n[sampler]\nstartup_trails = 3\n[profile.laptop.sampler]\nname = "random"'
    with pytest.raises(ConfigError, match=r"mine.toml \[sampler\]: .*did you mean 'startup_trials'"):
        build(file, text)


def test_a_sampler_without_options_says_so(file: Path) -> None:
    text = 'task = "hopper"\n[sampler]\nname = "random"\nstartup_trials = 3'
    with pytest.raises(
        ConfigError, match=r"sampler random: unknown setting 'startup_trials'; known are: none$"
    ):
        build(file, text)


def test_an_option_that_does_not_fit_is_not_the_files_fault(file: Path) -> None:
    for train in ({"env_steps": 100}, {"gamma": 1.5}, {"critic.drop_top": 500}):
        with pytest.raises(ConfigError) as caught:
            build(file, train=train)
        assert str(file) not in str(caught.value)


def test_contradictions_that_a_later_layer_mends_are_none(file: Path) -> None:
    text = 'task = "hopper"\n[train]\ncritic.drop_top = 20\n[space]\ncritic.quantiles = false\n'
    text += "[profile.laptop.train]\ncritic.quantiles = 24\n"
    assert build(file, text).config.critic.drop_top == 20


def test_what_was_overridden_is_known_with_its_places(file: Path) -> None:
    spec = build(file, numbers={"trials": 3}, train={"gamma": 0.5})
    assert spec.origin is not None
    found = {override.setting: override for override in spec.origin.overrides}
    base = "studies/_base.toml"
    assert (found["trials"].value, found["trials"].source) == (3, "options")
    assert found["trials"].replaced == ((50, base), (9, f"{base} [profile.laptop]"), (7, str(file)))
    assert found["space.gamma"].value == "not searched"
    assert found["space.gamma"].replaced[-1] == ("0.9 to 0.99", str(file))
    assert found["actor.hidden_width"].replaced[-1] == (32, str(file))
    assert found["sampler.tpe.startup_trials"].replaced == ((10, base),)
    assert "seeds" in found, "the base's 1"
    assert "env_steps" not in found, "given once"
    assert StudySpec.from_json(spec.to_json()).origin == spec.origin


def test_arguments_of_the_simulator_may_be_set_and_searched(file: Path) -> None:
    text = 'task = "hopper"\n[train.env.args]\nctrl_cost_weight = 0.1\n'
    assert build(file, text).config.env.args == {"ctrl_cost_weight": 0.1}
    space = "[space]\nenv.args.ctrl_cost_weight = { low = 0.01, high = 1.0 }"
    assert build(file, text + space).defaults()["env.args.ctrl_cost_weight"] == 0.1


def test_the_profile_follows_the_machine_unless_it_is_given() -> None:
    study = catalog.find("hopper")
    assert catalog.build(study, StudyRequest(), has_gpu=False).profile == "laptop"
    assert catalog.build(study, StudyRequest(), has_gpu=True).profile == "gpu"
    assert catalog.build(study, StudyRequest(profile="smoke"), has_gpu=True).profile == "smoke"


def test_an_environment_of_ones_own_needs_no_file() -> None:
    spec = catalog.build(catalog.find("my_pkg.envs:make"), StudyRequest(), has_gpu=False)
    assert (spec.task, spec.name) == ("my_pkg.envs:make", "my_pkg-envs-make")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('task = "hopper"\ntrails = 5', "unknown key 'trails'; did you mean 'trials'"),
        ('task = "hopper"\n[trian]\ngamma = 0.9', "unknown key 'trian'; did you mean 'train'"),
        ('task = "hopper"\n[train]\ngama = 0.9', "unknown setting 'gama'; did you mean 'gamma'"),
        ('task = "hopper"\n[train.actr]\nlearning_rate = 1e-3', "did you mean 'actor.learning_rate'"),
        ('task = "hopper"\n[train]\nenv_steps = "6000"', "is text; write the value without quotes"),
        ('task = "hopper"\n[train]\nenv_steps = 6000.5', "not a whole number"),
        ('task = "hopper"\n[train]\nseed = 1', "belongs at the top of the file"),
        ('task = "hopper"\n[train]\ngamma = 1.5', r"gamma = 1.5 is out of range"),
        ('task = "hopper"\n[train]\nactor.learning_rate = 0', "actor.learning_rate = 0 learns nothing"),
        (
            'task = "hopper"\n[space]\ncritic.learning_rate = { low = 0, high = 1e-3, start = 1e-4 }',
            "critic.learning_rate = 0 learns nothing",
        ),
        (
            'task = "hopper"\n[space]\nactor.grad_clip = { choices = [0, 1] }',
            "actor.grad_clip = 0 learns nothing",
        ),
        ('task = "hopper"\ntrials = 0', "trials = 0 is out of range"),
        ('task = "hopper"\ntrials = true', "is not a number"),
        ('task = "hopper"\ntrain = 3', r"train = 3 is no table: write \[train\]"),
        ('task = "hopper"\n[train]\ncritic.drop_top = 40', "critic.drop_top = 40 leaves none"),
        ('task = "hopper"\n[space]\ngama = false', "did you mean 'gamma'"),
        ('task = "hopper"\n[space]\ngamma = { low = 0.5, high = 0.9 }', "gamma = 0.99 lies outside"),
        (
            'task = "hopper"\n[space]\nactor.denoisingsteps = { low = 1, high = 2 }',
            "did you mean 'actor.denoising",
        ),
        ('task = "hopper"\n[sampler]\nname = "tpee"', "did you mean 'tpe'"),
        ('task = "hopper"\n[pruner]\nwarmup = 3', "did you mean 'warmup_fraction'"),
        ('task = "hopper"\n[profile.laptop.trian]', "did you mean 'train'"),
        ('task = "hoper"', "unknown task 'hoper'; did you mean 'hopper'"),
        ('extends = "hoper"', "unknown study to extend 'hoper'; did you mean 'hopper'"),
        ("trials = 3", "names no task"),
        ('task = "hopper"\n\ntrials == 3', "mine.toml, line 3: not valid TOML: Invalid value"),
        ('task = "hopper', r"mine.toml, line 1: not valid TOML: Unterminated"),
        ('task = "hopper"\nname = "my study"', "'my study' is no study name"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_place(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(OmadError, match=complaint) as caught:
        catalog.check(catalog.find(str(file)))
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value), "each names the file"


def test_a_name_that_is_given_is_not_the_files_fault(file: Path) -> None:
    file.write_text('task = "hopper"')
    with pytest.raises(ConfigError, match=r"^'my study' is no study name"):
        catalog.build(catalog.find(str(file)), StudyRequest(), has_gpu=False, name="my study")


@pytest.mark.parametrize(
    ("text", "location"),
    [
        (
            'task = "hopper"\n[profile.laptop.train]\ngama = 0.9',
            r"mine.toml \[profile.laptop\]: unknown setting",
        ),
        (
            'task = "hopper"\n[profile.laptop.train]\ncritic.drop_top = 40',
            r"mine.toml \[profile.laptop\] \[train\]",
        ),
        ('task = "hopper"\n[train]\ngama = 0.9', r"^\S+mine.toml: unknown setting"),
    ],
)
def test_a_refusal_names_file_and_table(file: Path, text: str, location: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=location):
        catalog.check(catalog.find(str(file)))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml cannot be read: No such file"):
        catalog.find(str(tmp_path / "absent.toml"))
    (tmp_path / "latin.toml").write_bytes(b'task = "h\xf6pper"')
    with pytest.raises(ConfigError, match="is not UTF-8"):
        catalog.find(str(tmp_path / "latin.toml"))


def test_unknown_tasks_and_profiles_are_refused_with_the_nearest() -> None:
    with pytest.raises(TaskError, match="did you mean 'hopper'"):
        catalog.find("hoppr")
    with pytest.raises(ConfigError, match="unknown profile 'laptp'; did you mean 'laptop'"):
        catalog.build(catalog.find("hopper"), StudyRequest(profile="laptp"), has_gpu=False)


def test_a_training_that_would_never_learn_is_refused() -> None:
    requested = StudyRequest(train={"env_steps": 500})
    with pytest.raises(ConfigError, match=r"random_steps = 1000 leaves nothing of env_steps = 500"):
        catalog.build(catalog.find("hopper"), requested, has_gpu=False)


def test_the_effective_settings_are_complete() -> None:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(train={"gamma": 0.5}), has_gpu=False)
    stored = json.loads(spec.to_json())["train"]
    assert stored == settings.to_dict(spec.config)
    assert stored["gamma"] == 0.5
    assert stored["critic.renorm_warmup"] == 100_000
