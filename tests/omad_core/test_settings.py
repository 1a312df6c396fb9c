"""The one grammar of settings: every value arrives, every mistake is named."""

import pytest

from omad_core.config import TrainConfig, structure
from omad_core.errors import ConfigError
from omad_core.settings import fields, from_dict, replace, to_dict, unknown


def test_every_setting_has_a_sentence_and_survives_the_way_through_json():
    config = replace(
        TrainConfig(), {"env.args.ctrl_cost_weight": "0.01", "env.agent_obsk": "none", "seed": 7}
    )
    assert from_dict(TrainConfig, to_dict(config)) == config
    for path, _, info in fields(TrainConfig):
        assert info.help, path


def test_texts_become_the_types_of_their_fields():
    texts = {"actor.learning_rate": "1e-3", "env_steps": "1_000", "evaluation.deterministic": "true"}
    config = replace(TrainConfig(), texts | {"env.agent_obsk": "none"})
    values = (
        config.actor.learning_rate,
        config.env_steps,
        config.evaluation.deterministic,
        config.env.agent_obsk,
    )
    assert values == (1e-3, 1000, True, None)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gamma": 2}, r"gamma = 2.0 is out of range: it must lie between 0 and 1"),
        ({"gamma": "nan"}, "out of range"),
        ({"env_steps": "1.5"}, "not a whole number"),
        ({"entropy.mode": "learnt"}, "not one of learned, fixed"),
        ({"evaluation.deterministic": "maybe"}, "not true or false"),
        ({"critic.drop_top": 30}, r"critic\.drop_top = 30 leaves none of critic\.quantiles = 25"),
        (
            {"algorithm": "madpmd", "madpmd.candidates": 4, "madpmd.kl_target": 1.4},
            r"madpmd\.kl_target = 1\.4 nats cannot be reached with madpmd\.candidates = 4, .* log 4 = 1\.39",
        ),
        ({"batch_size": 512, "replay_size": 256}, "replay_size = 256 is smaller than batch_size = 512"),
        ({"gama": 1}, "did you mean 'gamma'"),
        ({"actor.lr": 1}, r"did you mean 'actor\.learning_rate'"),
        ({"critic.learning_rat": 1}, r"did you mean 'critic\.learning_rate'"),
    ],
)
def test_mistakes_are_refused_by_name(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(TrainConfig(), values)


def test_nothing_near_lists_what_is_known():
    assert unknown("head", "zzz", ["quantile", "categorical"]).endswith("known are: categorical, quantile")


def test_the_structure_is_what_members_must_share():
    shared = structure(TrainConfig())
    assert {"task", "batch_size", "critic.hidden_width", "critic.head"} <= shared.keys()
    assert not {"gamma", "seed", "actor.denoising_steps", "critic.quantiles"} & shared.keys()
