"""TaskSpec: the shapes of one world, as every other part needs to know them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskSpec:
    """Agents, widths and bounds of one task, and which simulator answers for it.

    Letters as in `docs/algorithm.md`: A agents, O and U the widths of the widest agent's observation and
    action (narrower ones are padded with zeros on the right), S the width of the global state.
    """

    name: str
    """Name a user types, such as `hopper`."""
    env_id: str
    """The simulated world, such as `Hopper-v5 3x1, agent_obsk=1`."""
    versions: dict[str, str]
    """Versions of the packages whose numbers decide a return (mujoco, gymnasium, ...)."""
    agents: tuple[str, ...]
    """Names of the learning agents, in the order of axis A."""
    obs_dims: tuple[int, ...]
    """Width of each agent's own observation."""
    action_dims: tuple[int, ...]
    """d_i: number of real action dimensions of each agent."""
    action_low: tuple[tuple[float, ...], ...]
    """Lower end of each agent's action box, in the environment's units."""
    action_high: tuple[tuple[float, ...], ...]
    """Upper end of each agent's action box."""
    state_dim: int
    """S: width of the global state, which only the critic sees."""
    horizon: int
    """Steps after which an episode is truncated."""
    terminates: bool
    """Whether an episode can end before its horizon."""
    resumable: bool = True
    """Whether the environment can save and restore its exact state."""

    @property
    def num_agents(self) -> int:
        """A."""
        return len(self.agents)

    @property
    def obs_width(self) -> int:
        """O: width of the widest agent's observation."""
        return max(self.obs_dims)

    @property
    def action_width(self) -> int:
        """U: width of the widest agent's action."""
        return max(self.action_dims)

    @property
    def action_dim(self) -> int:
        """d: real action dimensions of all agents together."""
        return sum(self.action_dims)
