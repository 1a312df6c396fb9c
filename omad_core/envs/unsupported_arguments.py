"""Arguments that the simulators know and `env.args` does not take, each with its reason."""

_PICTURE = (
    "it changes only the picture, and pictures here are drawn from saved states by a drawer of their own"
)
_PARTITION = "gymnasium-robotics' partitions need all that the world observes by default"
_VIEWS = "it is no single value; what an agent sees is chosen by env.agent_obsk"

MUJOCO: dict[str, str] = {
    "include_cinert_in_observation": _PARTITION,
    "include_cvel_in_observation": _PARTITION,
    "include_qfrc_actuator_in_observation": _PARTITION,
    "include_cfrc_ext_in_observation": _PARTITION,
    "xml_file": "partition, reward and end are made for gymnasium's own model",
    "default_camera_config": _PICTURE,
    "render_mode": _PICTURE,
    "width": _PICTURE,
    "height": _PICTURE,
    "camera_id": _PICTURE,
    "camera_name": _PICTURE,
    "max_geom": _PICTURE,
    "visual_options": _PICTURE,
    "scenario": "the task's name says it",
    "agent_conf": "the task's name says how the joints are shared out",
    "agent_obsk": "it is a setting of its own: env.agent_obsk",
    "agent_factorization": "it is no single value; the task's name says how the joints are shared out",
    "local_categories": _VIEWS,
    "global_categories": _VIEWS,
    "gym_env": "it is an object; name an environment of your own as module:factory",
}
"""Of gymnasium's MuJoCo worlds (of those that have them) and of gymnasium-robotics."""

MPE: dict[str, str] = {
    "N": "the task's name says how many agents there are",
    "continuous_actions": "actions are always continuous here",
    "render_mode": _PICTURE,
    "dynamic_rescaling": _PICTURE,
    "benchmark_data": "it adds to mpe2's infos, which no training reads",
}
"""Of every scenario of mpe2."""

SPREAD: dict[str, str] = MPE | {
    "curriculum": "its stages advance only when a program calls for it, and no training does"
}
"""Of simple_spread."""
