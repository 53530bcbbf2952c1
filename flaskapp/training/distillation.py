"""Step one of base training: the trunk learns to say what the teacher says.

Half of the loss is the teacher's vector itself, half its neighbourhoods: which of 2,048
faces drawn anew for each batch are near (Hinton, Vinyals and Dean, "Distilling the
Knowledge in a Neural Network", 2015, applied to similarities). Measured on people who are
not learned from, both together are better than either alone.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from flaskapp.model import RESIDUAL_UNITS, Parts, build_trunk
from flaskapp.training.batches import Batch, Batches
from flaskapp.training.checkpoints import load_checkpoint, save_checkpoint
from flaskapp.training.fused import FusedBatchNormalization
from flaskapp.training.optimizer import ConvolutionMuon
from flaskapp.training.precision import quicker_dtype
from flaskapp.training.quick import QuickConvolution

TEACHER_SIZE = 128
NEIGHBOURS = 2048
TEMPERATURE = 0.1

QUICK_PARTS = Parts(QuickConvolution, FusedBatchNormalization)

Way = Callable[[Iterable[float]], Iterable[float]]


@dataclass(frozen=True)
class Schedule:
    """How long and at which rate.

    Attributes:
        steps: batches in all.
        minutes: of computing in all, over all resumptions; whichever ends first ends it.
        rate: Muon's learning rate.
        warm_up: batches until the full rate.
        constant: share of the way at the full rate; then a straight line down to nothing.
    """

    steps: int
    minutes: float = float("inf")
    rate: float = 0.035
    warm_up: int = 100
    constant: float = 0.6

    def progress(self, step: int, seconds: float) -> float:
        """Return how much of the way is gone, 0 to 1."""
        return min(1.0, max(step / self.steps, seconds / 60 / self.minutes))

    def rate_at(self, step: int, seconds: float) -> float:
        """Return the learning rate of a batch."""
        left = (1 - self.progress(step, seconds)) / (1 - self.constant)
        return self.rate * min(1.0, (step + 1) / self.warm_up, left)


class DistillationLoss(keras.losses.Loss):
    """Half regression, half neighbourhoods.

    Regression is the mean squared error to the teacher's vector of unit length times
    √128, so that each number has a variance of about 1. Neighbourhoods are the
    Kullback–Leibler divergence between the softmax of the teacher's cosines to
    ``NEIGHBOURS`` faces and that of the student's.

    Args:
        faces: float32 (N, 128), the teacher's vectors to draw the neighbours from.
        seed: of the drawing.
        regression: its share, 0 to 1; the rest is the neighbourhoods'.
    """

    def __init__(self, faces: np.ndarray, seed: int = 0, regression: float = 0.5, name: str = "distillation") -> None:
        super().__init__(name=name)
        self.faces = ops.convert_to_tensor(faces)
        self.regression = regression
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,) of student vectors (batch, 128) against unit teacher vectors."""
        error = ops.mean(ops.square(y_pred - y_true * TEACHER_SIZE**0.5), axis=-1)
        rows = keras.random.randint((NEIGHBOURS,), 0, self.faces.shape[0], seed=self.seed)
        divergence = neighbourhood_divergence(y_true, y_pred, ops.take(self.faces, rows, axis=0))
        return self.regression * error + (1 - self.regression) * divergence


def neighbourhood_divergence(teacher: Any, student: Any, neighbours: Any) -> Any:
    """Return KL(teacher ‖ student) of the softmax of cosines to the neighbours, (batch,)."""
    teacher_log = ops.log_softmax(ops.matmul(teacher, ops.transpose(neighbours)) / TEMPERATURE)
    student = ops.normalize(student, axis=-1)
    student_log = ops.log_softmax(ops.matmul(student, ops.transpose(neighbours)) / TEMPERATURE)
    return ops.sum(ops.exp(teacher_log) * (teacher_log - student_log), axis=-1)


@contextmanager
def fast_layout(policy: str | None = None) -> Iterator[None]:
    """Build networks for quick training: the quicker arithmetic, PyTorch's favourite layout.

    Variables stay float32. On two cores with AVX-512 BF16 the trunk trains at about 210
    faces a second in bfloat16 and at 62 in float32; on two with AVX2 alone at 5 and 60.

    Args:
        policy: Keras's dtype policy; bfloat16 where this machine computes quicker so, if not given.
    """
    policy = policy or ("mixed_bfloat16" if quicker_dtype() == "bfloat16" else "float32")
    before, layout = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(policy)
    if keras.backend.backend() == "torch":
        keras.config.set_image_data_format("channels_first")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
        keras.config.set_image_data_format(layout)


def build_student(residual_units: Sequence[int] = RESIDUAL_UNITS, parts: Parts = QUICK_PARTS) -> keras.Model:
    """Build the trunk with a linear projection to the teacher's 128 numbers behind it."""
    with fast_layout():
        trunk = build_trunk(residual_units, parts)
        vector = keras.layers.Dense(TEACHER_SIZE, dtype="float32", name="projection")(trunk.output)
        return keras.Model(trunk.input, vector, name="student")


@dataclass
class State:
    """Where a training run stands."""

    step: int = 0
    seconds: float = 0.0


class Distillation:
    """A resumable distillation run in a folder of its own.

    Args:
        folder: for ``state.npz`` and ``log.csv``.
        batches: faces and the teacher's unit vectors.
        schedule: how long.
        validate: from the student to figures worth logging.
    """

    def __init__(
        self, folder: Path, batches: Batches, schedule: Schedule, validate: Callable[[keras.Model], dict[str, float]]
    ) -> None:
        keras.utils.set_random_seed(batches.seed)
        self.folder, self.batches, self.schedule, self.validate = folder, batches, schedule, validate
        self.student = build_student()
        self.optimizer = ConvolutionMuon(schedule.rate)
        self.student.compile(self.optimizer, DistillationLoss(batches.targets[batches.rows], batches.seed))
        self.optimizer.build(self.student.trainable_variables)
        self.state = State()

    @property
    def begun(self) -> bool:
        """Whether the folder holds a checkpoint to go on from."""
        return (self.folder / "state.npz").exists()

    @property
    def finished(self) -> bool:
        """Whether the schedule has been gone through."""
        return self.schedule.progress(self.state.step, self.state.seconds) >= 1

    def run(self, way: Way = iter, save_every: int = 400, validate_every: int = 2000) -> keras.Model:
        """Train to the schedule's end, from the last checkpoint if there is one.

        Args:
            way: wraps an iteration over the shares of the way that are gone before each
                batch, 0 to 1; a progress bar for example.
            save_every: batches between checkpoints.
            validate_every: batches between lines of the log.

        Raises:
            DataError: the folder's checkpoint is damaged or of another network.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.resume()
        first, losses = self.state.step, list[float]()
        batches = self.batches.ahead(first)
        for _ in way(self._shares()):
            losses.append(self._train_step(batches))
            if self.state.step % save_every == 0:
                self.save()
            if self.state.step % validate_every == 0:
                self._log(losses)
                losses.clear()
        if self.state.step > first:
            self.save()
        if self.state.step != self._last_logged():  # also where a kill came between checkpoint and line
            self._log(losses)
        return self.student

    def _shares(self) -> Iterator[float]:
        while (share := self.schedule.progress(self.state.step, self.state.seconds)) < 1:
            yield share

    def _train_step(self, batches: Iterator[Batch]) -> float:
        started = time.monotonic()
        self.optimizer.learning_rate = self.schedule.rate_at(self.state.step, self.state.seconds)
        loss = self.student.train_on_batch(*next(batches))
        self.state.step += 1
        self.state.seconds += time.monotonic() - started
        return float(loss)

    def _log(self, losses: list[float]) -> None:
        row = {
            "step": self.state.step,
            "minutes": round(self.state.seconds / 60, 2),
            "rate": round(self.schedule.rate_at(self.state.step, self.state.seconds), 6),
            "loss": round(float(np.mean(losses)), 5) if losses else "",
            **self.validate(self.student),
        }
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    def _last_logged(self) -> int:
        try:
            with (self.folder / "log.csv").open(newline="", encoding="utf-8") as file:
                return max((int(row["step"]) for row in csv.DictReader(file)), default=0)
        except FileNotFoundError:
            return 0

    def _variables(self) -> list[Any]:
        return [*self.student.variables, *self.optimizer.variables]

    def save(self) -> None:
        """Write a checkpoint; a kill at any moment leaves the old one or the new one."""
        save_checkpoint(self.folder / "state.npz", self._variables(), asdict(self.state))

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if it has one."""
        path = self.folder / "state.npz"
        if not path.exists():
            return
        variables = self._variables()
        arrays, state = load_checkpoint(path, variables)
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.state = State(**state)
