"""The run: batches in, the network's weights out, until it is stopped; then on from where it was.

The network learns to give a teacher's 128 numbers for a face. Half of the loss is the mean
squared error to the teacher's vector (as long as √128, so that each number has a variance of
1), half the divergence between the teacher's and the network's neighbourhoods among faces drawn
anew for each batch (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
2015, applied to similarities). Muon updates the convolutions (Jordan et al., "Muon: An
optimizer for hidden layers in neural networks", 2024), AdamW the rest, at one constant rate,
with a single fall to nothing once the end is known. The average of the weights over the last
tenth of the way can be measured and shipped at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
import torch._functorch.config
from torch.nn import functional

from flaskapp import preprocess
from research.distil.checkpoints import load_checkpoint, save_checkpoint
from research.distil.faces import Batches, Changes
from research.distil.muon import Muon
from research.distil.network import BFLOAT16, Arrays, save_snapshot, set_arrays
from research.distil.same_run import check_same_run, describe_run
from research.sets.table import FaceTable

__all__ = ["Recipe", "Run", "Schedule", "State", "embedder", "loss_of"]

NEIGHBOURS = 2048
TEMPERATURE = 0.1
MOMENTUM = 0.95
LARGEST_GRADIENT = 1.0
MEASURED_AT_ONCE = 128


@dataclass(frozen=True)
class Schedule:
    """At which rate each batch is learned.

    Attributes:
        rate: of Muon: the spectral norm of one step of a convolution.
        adam_rate: of AdamW, for everything else.
        warm_up: batches until the full rate; a resumed run has that behind it.
        until: faces after which the run ends; None = it goes on until it is stopped.
        fall: share of the way to ``until`` over which the rate falls to nothing, in a straight line.
    """

    rate: float = 0.001
    adam_rate: float = 0.0012
    warm_up: int = 100
    until: int | None = None
    fall: float = 0.3

    def share(self, faces: int, begun: int = 0) -> float:
        """Return the share of the full rate after so many faces, of which the run began with some."""
        if self.until is None:
            return 1.0
        left = (self.until - faces) / max(self.until - begun, 1)
        return float(np.clip(left / self.fall, 0, 1))


@dataclass(frozen=True)
class Recipe:
    """What makes a run this one; it cannot change on the way.

    Attributes:
        batch_size: faces.
        changes: what is done to them.
        seed: of everything.
    """

    batch_size: int = 128
    changes: Changes = field(default_factory=Changes)
    seed: int = 2026


@dataclass
class State:
    """Where a run stands.

    Attributes:
        faces: learned from since nothing, earlier runs counted in.
        begun: of them, how many before this run.
        step: batches of this run.
        averaged: batches that the average has seen.
        seconds: of learning.
    """

    faces: int = 0
    begun: int = 0
    step: int = 0
    averaged: int = 0
    seconds: float = 0.0


def loss_of(vectors: torch.Tensor, targets: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """Return half regression and half neighbourhoods, one number.

    Args:
        vectors: float32 (N, 128), the network's.
        targets: float32 (N, 128) of unit length, the teacher's.
        neighbours: float32 (M, 128) of unit length, the teacher's of other faces.
    """
    regression = (vectors - targets * targets.shape[1] ** 0.5).square().mean()
    teacher = functional.log_softmax(targets @ neighbours.T / TEMPERATURE, dim=1)
    student = functional.log_softmax(functional.normalize(vectors) @ neighbours.T / TEMPERATURE, dim=1)
    return (regression + functional.kl_div(student, teacher, reduction="batchmean", log_target=True)) / 2


def embedder(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the vectors float32 (N, 128) of faces uint8 (N, 100, 100, 3), by one view each."""

    def embed(faces: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(faces), MEASURED_AT_ONCE):
            part = torch.from_numpy(preprocess.to_model_input(faces[start : start + MEASURED_AT_ONCE]))
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
                parts.append(network(part, training=False).float().numpy())
        return np.concatenate(parts)

    return embed


class Run:
    """A resumable run in a folder of its own.

    Args:
        folder: for ``state.npz`` and ``average.npz``.
        network: as of ``network.build_student``; its arrays are those to start from.
        table: the photos.
        batches: of them.
        schedule: at which rate.
        recipe: the settings, which a resumed run must have too.
        start: what the snapshot that the arrays come from says of itself.
        threads: says how many threads to use, before each batch.
        told: what else a snapshot is to say of itself.
    """

    def __init__(
        self,
        folder: Path,
        network: keras.Model,
        table: FaceTable,
        batches: Batches,
        schedule: Schedule,
        recipe: Recipe,
        start: Mapping[str, Any] | None = None,
        threads: Callable[[], int] = torch.get_num_threads,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.folder, self.network, self.batches, self.schedule, self.recipe = folder, network, batches, schedule, recipe
        self.threads, self.told, start = threads, told or {}, start or {}
        self.state = State(start.get("faces", 0), start.get("faces", 0), 0, start.get("averaged", 0))
        self.weights = [variable.value for variable in network.trainable_variables]
        self.names = [variable.path for variable in network.trainable_variables]
        self.average = [weight.detach().clone() for weight in self.weights]
        kernels = [self._is_kernel(name, weight) for name, weight in zip(self.names, self.weights, strict=True)]
        # Muon takes matrices: each kernel (height, width, in, out) as out × rest, in the same memory.
        self.matrices = [w.detach().flatten(0, 2).T for w, kernel in zip(self.weights, kernels, strict=True) if kernel]
        self.kernels = [w for w, kernel in zip(self.weights, kernels, strict=True) if kernel]
        others = [w for w, kernel in zip(self.weights, kernels, strict=True) if not kernel]
        self.muon = Muon(self.matrices, schedule.rate, MOMENTUM)
        self.adam = torch.optim.AdamW(others, schedule.adam_rate, weight_decay=0)
        # Which numbers were above zero is seen again from the maps, which are kept anyway: as bytes of their own
        # processors load them one by one, and a step of the grown network takes a fifth longer. Winograd's
        # convolutions would be seen again too, and take a third longer.
        torch._functorch.config.aggressive_recomputation = BFLOAT16
        self.faces_loss = torch.compile(self._faces_loss)
        self.known = torch.from_numpy(batches.targets[np.unique(batches.rows)])
        note = describe_run(table, np.unique(batches.rows), batches.targets, self._settings())
        check_same_run(folder, note, (folder / "state.npz").exists())
        self.first_step = self._resume()

    @staticmethod
    def _is_kernel(name: str, weight: torch.Tensor) -> bool:
        return weight.ndim == 4 and "depthwise" not in name

    def _settings(self) -> dict[str, Any]:
        shapes = {name: list(weight.shape) for name, weight in zip(self.names, self.weights, strict=True)}
        return {**asdict(self.recipe), "network": shapes}

    def _faces_loss(self, faces: torch.Tensor, targets: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
            vectors = self.network(faces, training=True)
        return loss_of(vectors.float(), targets, neighbours)

    def learn(self, look: Callable[[Run, float], None], look_every: int, save_every: int = 50) -> None:
        """Learn until the schedule's end or until stopped.

        Args:
            look: called with this run and the mean loss since the last call.
            look_every: faces between its calls, and at the end.
            save_every: batches between checkpoints.
        """
        losses = list[float]()
        looked = self.state.faces // look_every
        for faces, targets in self.batches.ahead(self.state.step):
            if self.schedule.until is not None and self.state.faces >= self.schedule.until:
                break
            losses.append(self._step(faces, targets))
            if self.state.step % save_every == 0:
                self.save()
            if self.state.faces // look_every > looked:
                looked = self.state.faces // look_every
                look(self, float(np.mean(losses)))
                losses.clear()
        self.save()
        if losses:
            look(self, float(np.mean(losses)))

    def _step(self, faces: np.ndarray, targets: np.ndarray) -> float:
        torch.set_num_threads(self.threads())
        started = time.monotonic()
        share = self.schedule.share(self.state.faces, self.state.begun)
        share *= min(1.0, (self.state.step - self.first_step + 1) / self.schedule.warm_up)
        self.muon.param_groups[0]["lr"] = share * self.schedule.rate
        self.adam.param_groups[0]["lr"] = share * self.schedule.adam_rate
        drawn = np.random.default_rng((self.recipe.seed, self.state.step)).integers(len(self.known), size=NEIGHBOURS)
        for weight in self.weights:
            weight.grad = None
        loss = self.faces_loss(torch.from_numpy(faces), torch.from_numpy(targets), self.known[drawn])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, LARGEST_GRADIENT, error_if_nonfinite=True)
        for matrix, kernel in zip(self.matrices, self.kernels, strict=True):
            matrix.grad = kernel.grad.flatten(0, 2).T
        self.muon.step()
        self.adam.step()
        self._add_to_average()
        self.state.step += 1
        self.state.faces += len(faces)
        self.state.seconds += time.monotonic() - started
        return loss.item()

    def _add_to_average(self) -> None:
        """Let the average follow, so that it is mostly of the last tenth of the way.

        Polynomial-decay averaging with η = 9 (Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth
        Optimization", 2013).
        """
        self.state.averaged += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.weights, 10 / (self.state.averaged + 9))

    def averaged(self) -> Arrays:
        """Return the average of the weights by ``layer/variable``."""
        return {name: array.numpy().copy() for name, array in zip(self.names, self.average, strict=True)}

    def with_average(self) -> keras.Model:
        """Return the network with the average of the weights; ``with_weights`` undoes it."""
        self._kept = {
            name: weight.detach().numpy().copy() for name, weight in zip(self.names, self.weights, strict=True)
        }
        set_arrays(self.network, self.averaged())
        return self.network

    def with_weights(self) -> None:
        """Give the network its own weights back."""
        set_arrays(self.network, self._kept)

    def _variables(self) -> list[torch.Tensor]:
        momenta = [self.muon.state[matrix].get("momentum_buffer", torch.zeros_like(matrix)) for matrix in self.matrices]
        of_adam = []
        for weight in self.adam.param_groups[0]["params"]:
            state = self.adam.state[weight]
            zero = torch.zeros_like(weight)
            of_adam += [state.get("exp_avg", zero), state.get("exp_avg_sq", zero), state.get("step", torch.zeros(()))]
        return [*(weight.detach() for weight in self.weights), *self.average, *momenta, *of_adam]

    def save(self) -> None:
        """Write a checkpoint and the average; a kill at any moment leaves the old ones or the new ones."""
        save_checkpoint(self.folder / "state.npz", self._variables(), asdict(self.state))
        save_snapshot(self.folder / "average.npz", self.averaged(), self.meta())

    def meta(self) -> dict[str, Any]:
        """Return what a snapshot says of itself."""
        return {"faces": self.state.faces, "averaged": self.state.averaged, **self.told}

    def _resume(self) -> int:
        """Go on from the folder's checkpoint if there is one; return the step from which the rate warms up."""
        path = self.folder / "state.npz"
        if not path.exists():
            return 0
        arrays, state = load_checkpoint(path, self._variables())
        tensors = iter([torch.from_numpy(array) for array in arrays])
        with torch.no_grad():
            for weight in [*self.weights, *self.average]:
                weight.copy_(next(tensors))
        for matrix in self.matrices:
            self.muon.state[matrix]["momentum_buffer"] = next(tensors)
        for weight in self.adam.param_groups[0]["params"]:
            names = ("exp_avg", "exp_avg_sq", "step")
            self.adam.state[weight] = {name: next(tensors) for name in names}
        self.state = State(**state)
        return -self.schedule.warm_up
