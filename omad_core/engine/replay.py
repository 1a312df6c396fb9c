"""Replay: each member's transitions, on the device, as a ring of vector steps; observations are stored once.

Frame v of a member holds, for its E environments, what was seen before step v, the action, and what followed; the
next observation is frame v + 1's. Where an episode ended the last observation lies in a second, smaller
ring of finals. That ring holds an eighth of the transitions: episodes shorter than eight steps on average
shorten the window.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omad_core.algorithm.batch import Transitions
from omad_core.checkpoint.state import ReplayRows, check_array
from omad_core.engine.transfer import send
from omad_core.task import TaskSpec

FINALS_SHARE = 8


class Replay:
    """Rings of `capacity` members; `size` transitions each, of `envs` environments stepped together."""

    def __init__(
        self, spec: TaskSpec, capacity: int, envs: int, size: int, n_step: int, device: torch.device
    ) -> None:
        self._spec, self._envs, self._n_step, self._device = spec, envs, n_step, device
        self.length = -(-size // envs) + n_step
        rows = (capacity, self.length, envs)
        width = spec.num_agents * spec.obs_width + spec.state_dim
        self._seen = torch.zeros(*rows, width, device=device)
        self._action = torch.zeros(*rows, spec.num_agents * spec.action_width, device=device)
        self._reward = torch.zeros(rows, device=device)
        self._terminated = torch.zeros(rows, device=device)
        self._final = torch.full(rows, -1, dtype=torch.int64, device=device)
        self.finals_length = max(size // FINALS_SHARE, (n_step + 1) * envs, 16)
        self._finals = torch.zeros(capacity, self.finals_length, width, device=device)
        self._final_frame: NDArray[np.int64] = np.zeros((capacity, self.finals_length), np.int64)
        self._start, self._stop, self._finals_stop = [0] * capacity, [0] * capacity, [0] * capacity
        self._window = torch.zeros(2, capacity, dtype=torch.int64, device=device)
        self._lanes = torch.arange(capacity, device=device)[:, None]
        self._refresh_window()

    def clear(self, lane: int) -> None:
        """Forget one member's rows."""
        self._start[lane] = self._stop[lane] = self._finals_stop[lane] = 0

    def show(self, lanes: Sequence[int], observed: NDArray[np.float32]) -> None:
        """What these members' environments show now, [n, E, A * O + S]: before their next step."""
        at = [self._stop[lane] % self.length for lane in lanes]
        self._seen[self._index(lanes), self._index(at)] = self._tensor(observed)
        for lane in lanes:
            self._start[lane] = max(self._start[lane], self._stop[lane] - self.length + 1)
        self._refresh_window()

    def put(
        self,
        lanes: Sequence[int],
        action: NDArray[np.float32],
        reward: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
        final: NDArray[np.float32],
    ) -> None:
        """What followed what was shown last: action [n, E, A * U], reward, flags [n, E].

        final: [n, E, A * O + S] after the step, of which only rows whose episode `ended` (terminated or truncated)
        are kept.
        """
        slots = np.full(reward.shape, -1, np.int64)
        for member, env in np.argwhere(ended):
            slots[member, env] = self._put_final(lanes[member], final[member, env])
        row = (self._index(lanes), self._index([self._stop[lane] % self.length for lane in lanes]))
        self._action[row] = self._tensor(action)
        self._reward[row] = self._tensor(reward.astype(np.float32))
        self._terminated[row] = self._tensor(terminated.astype(np.float32))
        self._final[row] = self._tensor(slots)
        for lane in lanes:
            self._stop[lane] += 1

    def truncate(self, lane: int, observed: NDArray[np.float32]) -> None:
        """End a member's running episodes after its newest step; `observed` [E, A * O + S] was their last sight."""
        if not self._stop[lane]:
            return
        self._stop[lane] -= 1
        at = self._stop[lane] % self.length
        for env in range(self._envs):
            if int(self._final[lane, at, env]) < 0:
                self._final[lane, at, env] = self._put_final(lane, observed[env])
        self._stop[lane] += 1

    def _put_final(self, lane: int, final: NDArray[np.float32]) -> int:
        slot = self._finals_stop[lane] % self.finals_length
        if self._finals_stop[lane] >= self.finals_length:
            self._start[lane] = max(self._start[lane], int(self._final_frame[lane, slot]) + 1)
        self._finals[lane, slot] = self._tensor(final)
        self._final_frame[lane, slot] = self._stop[lane]
        self._finals_stop[lane] += 1
        return slot

    def _refresh_window(self) -> None:
        waiting = self._n_step - 1
        counts = [max(stop - waiting - start, 1) for start, stop in zip(self._start, self._stop, strict=True)]
        self._window.copy_(send(np.array([self._start, counts]), self._device))

    def _index(self, values: Iterable[int]) -> Tensor:
        return send(np.array(list(values), np.int64), self._device)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return send(values, self._device)

    def sample(self, random: Tensor, gamma: Tensor) -> Transitions:
        """Uniform draws: `random` [P, B] non-negative integers, gamma [P]. The newest n - 1 steps wait."""
        oldest, count = self._window[0][:, None], self._window[1][:, None]
        drawn = random % (count * self._envs)
        frame, env = oldest + drawn // self._envs, drawn % self._envs
        first = self._row(frame, env)
        reward, alive = self._flat(self._reward)[first], torch.ones_like(gamma)[:, None].expand(random.shape)
        discount = gamma[:, None].expand(random.shape)
        last = first
        for step in range(1, self._n_step):
            going = (self._flat(self._final)[last] < 0).to(torch.float32) * alive
            following = self._row(frame + step, env)
            reward = reward + going * discount * self._flat(self._reward)[following]
            discount = torch.where(going > 0, discount * gamma[:, None], discount)
            last = torch.where(going > 0, following, last)
            alive = going
        return self._assemble(first, last, reward, discount)

    def _row(self, frame: Tensor, env: Tensor) -> Tensor:
        return (self._lanes * self.length + frame % self.length) * self._envs + env

    @staticmethod
    def _flat(tensor: Tensor) -> Tensor:
        return tensor.flatten(0, 2)

    def _assemble(self, first: Tensor, last: Tensor, reward: Tensor, discount: Tensor) -> Transitions:
        spec, observed = self._spec, self._flat(self._seen)
        final = self._flat(self._final)[last]
        at = last // self._envs
        following = torch.where((at + 1) % self.length == 0, at + 1 - self.length, at + 1)
        following = following * self._envs + last % self._envs
        final_row = self._lanes * self.finals_length + final.clamp(min=0)
        next_seen = torch.where(
            (final < 0)[..., None], observed[following], self._finals.flatten(0, 1)[final_row]
        )
        obs, state = self._split(observed[first])
        next_obs, next_state = self._split(next_seen)
        action = self._flat(self._action)[first].view(*first.shape, spec.num_agents, spec.action_width)
        return Transitions(
            obs,
            state,
            action.transpose(1, 2).contiguous(),
            reward,
            discount * (1.0 - self._flat(self._terminated)[last]),
            next_obs,
            next_state,
        )

    def _split(self, observed: Tensor) -> tuple[Tensor, Tensor]:
        width = self._spec.num_agents * self._spec.obs_width
        obs = observed[..., :width].reshape(*observed.shape[:-1], self._spec.num_agents, self._spec.obs_width)
        return obs.transpose(1, 2).contiguous(), observed[..., width:]

    def rows(self, lane: int, stored: tuple[int, int] = (0, 0)) -> ReplayRows:
        """A copy of what is in the window, oldest first, less what is `stored` already.

        stored: (stop, finals_stop) of an earlier answer.
        """
        oldest, stop = self._start[lane], self._stop[lane]
        start = max(oldest, min(stored[0], stop))
        order = self._index(range(start, stop)) % self.length
        oldest_final = max(0, self._finals_stop[lane] - self.finals_length)
        finals_start = max(oldest_final, min(stored[1], self._finals_stop[lane]))
        finals_order = np.arange(finals_start, self._finals_stop[lane]) % self.finals_length
        return ReplayRows(
            oldest=oldest,
            start=start,
            stop=stop,
            frames={name: ring[lane][order].cpu().numpy() for name, ring in self._rings().items()},
            oldest_final=oldest_final,
            finals_start=finals_start,
            finals_stop=self._finals_stop[lane],
            finals={
                "seen": self._finals[lane][self._index(finals_order)].cpu().numpy(),
                "frame": self._final_frame[lane][finals_order],
            },
        )

    def check(self, rows: ReplayRows) -> None:
        """Raise CheckpointError unless `load` can take these rows."""
        for name, ring in self._rings().items():
            check_array(rows.frames, name, (-1, *ring.shape[2:]))
        check_array(rows.finals, "seen", (-1, self._finals.shape[2]))
        check_array(rows.finals, "frame", (-1,))

    def load(self, lane: int, rows: ReplayRows) -> None:
        """Put one member's rows back as they were; they must reach back to the oldest of the window."""
        self._start[lane], self._stop[lane] = rows.oldest, rows.stop
        order = self._index(range(rows.start, rows.stop)) % self.length
        for name, ring in self._rings().items():
            ring[lane][order] = self._tensor(rows.frames[name])
        self._finals_stop[lane] = rows.finals_stop
        finals_order = np.arange(rows.finals_start, rows.finals_stop) % self.finals_length
        self._finals[lane, self._index(finals_order)] = self._tensor(rows.finals["seen"])
        self._final_frame[lane, finals_order] = rows.finals["frame"]
        self._refresh_window()

    def _rings(self) -> Mapping[str, Tensor]:
        return {
            "seen": self._seen,
            "action": self._action,
            "reward": self._reward,
            "terminated": self._terminated,
            "final": self._final,
        }
