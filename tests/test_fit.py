"""The training loop: schedules, groups, resuming to the same numbers, interruption, the best weights."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kit.train import Optimisation, checkpoints, clear_checkpoints, signatures
from kit.train.fit import fit
from kit.types import KitError


class Line(nn.Module):
    """y = w x, with dropout so that the random state matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.dropout = nn.Linear(4, 1), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.dropout(x))


def loss_of(model: nn.Module, number: int, rng: random.Random) -> Tensor:
    x = torch.tensor([[rng.random() for _ in range(4)] for _ in range(8)])
    return (model(x) - x.sum(-1, keepdim=True)).pow(2).mean()


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(tmp_path):
    optimisation = Optimisation(steps=12, learning_rate=0.05, warmup_steps=3, save_every=5)
    whole = Line()
    losses = fit(whole, loss_of, optimisation, progress=False).losses

    def stops_at_8(model, number, rng):
        if number == 8:
            raise RuntimeError("the power goes")
        return loss_of(model, number, rng)

    with pytest.raises(RuntimeError):
        fit(Line(), stops_at_8, optimisation, folder=tmp_path, progress=False)
    written = {"step-5.safetensors", "step-5.optimizer.safetensors", "training.json", ".lock"}
    assert {path.name for path in tmp_path.iterdir()} == written
    resumed = Line()
    again = fit(resumed, loss_of, optimisation, folder=tmp_path, progress=False).losses
    assert [row["loss"] for row in again] == [row["loss"] for row in losses]
    assert torch.equal(resumed.layer.weight, whole.layer.weight)


def test_a_folder_of_another_run_is_refused_with_what_differs(tmp_path):
    fit(Line(), loss_of, Optimisation(steps=2), folder=tmp_path, signature=lambda: {"data": "abc"}, progress=False)

    def again(steps=2, data="abc", model=None):
        signature = lambda: {"data": data}  # noqa: E731
        fit(model or Line(), loss_of, Optimisation(steps), folder=tmp_path, signature=signature, progress=False)

    again()
    with pytest.raises(KitError, match=r"training\.json: wanted the run .* with steps 2 .*, given steps 3"):
        again(steps=3)
    with pytest.raises(KitError, match=r"with data abc \(to begin anew, remove the folder\), given data other"):
        again(data="other")
    other = Line()
    with torch.no_grad():
        other.layer.weight.fill_(9.0)
    with pytest.raises(KitError, match=r"with model [0-9a-f]{16} .*, given model [0-9a-f]{16}"):
        again(model=other)


STEP = "step-2.safetensors"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (STEP, None, "wanted the checkpoint of step 2 .*, given none"),
        (STEP, b"", "wanted the checkpoint of step 2 .*, given another or a broken file"),
        (STEP, "half", "wanted the checkpoint of step 2 .*, given another or a broken file"),
        (STEP, {"layer.bias": torch.zeros(1)}, "wanted the checkpoint of step 2 .*, given another or a broken file"),
        ("step-2.optimizer.safetensors", {}, "wanted the checkpoint of step 2 .*, given another or a broken file"),
        ("training.json", b"", "wanted JSON, given a file that does not read"),
        ("training.json", "half", "wanted JSON, given a file that does not read"),
        ("training.json", b"[]", "wanted a JSON object, given list"),
        ("training.json", b"{}", "wanted the state of a training, with 'step' .*, given one without"),
    ],
)
def test_a_broken_checkpoint_is_one_line(tmp_path, name, content, words):
    fit(Line(), loss_of, Optimisation(steps=2), folder=tmp_path, progress=False)
    path = tmp_path / name
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        save_file(content, path)
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(KitError, match=rf"{name}: {words}"):
        fit(Line(), loss_of, Optimisation(steps=2), folder=tmp_path, progress=False)


def test_two_trainings_do_not_share_a_folder(tmp_path):
    def second(history):
        with pytest.raises(KitError, match="wanted a folder that no other process works in"):
            fit(Line(), loss_of, Optimisation(steps=1), folder=tmp_path, progress=False)

    fit(Line(), loss_of, Optimisation(steps=1), folder=tmp_path, callback=second, progress=False)
    clear_checkpoints(tmp_path)
    assert not tmp_path.exists()


def test_clearing_takes_away_checkpoints_alone(tmp_path):
    fit(Line(), loss_of, Optimisation(steps=1), folder=tmp_path, progress=False)
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "training.json").unlink()  # a run that was killed while it was clearing
    clear_checkpoints(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {"thesis.txt"}
    clear_checkpoints(tmp_path / "none")


def trained_until(moment: int, folder: Path, result: Path) -> None:
    """A training that kills itself (kill -9) at its `moment`-th write, flush, rename or removal."""
    left = moment

    def counted(function):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for place, name in ((os, "replace"), (os, "fsync"), (checkpoints, "save_file"), (Path, "unlink")):
        setattr(place, name, counted(getattr(place, name)))
    model = Line()
    settings = Optimisation(steps=8, save_every=2, evaluate_every=2, learning_rate=0.05)
    options = {"evaluate": lambda: {"em": float(model.layer.weight.detach().sum())}, "best": "em", "progress": False}
    history = fit(model, loss_of, settings, folder=folder, **options)
    result.write_text(f"{len(history.losses)} {len(history.evaluations)} {signatures.model_digest(model)}")


def test_killed_at_any_moment_it_ends_with_the_same_weights(tmp_path):
    """kill -9 at moments drawn from all writes, flushes, renames and removals; then the same run goes on."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["kit.train.fit", "accelerate", "torch._dynamo"])  # what a first step imports

    def run(name: str, moment: int) -> tuple[int, str, list[str]]:
        result = tmp_path / f"{name}.txt"
        process = processes.Process(target=trained_until, args=(moment, tmp_path / name, result))
        process.start()
        process.join()
        files = sorted(path.name for path in (tmp_path / name).iterdir())
        return process.exitcode, result.read_text() if result.exists() else "", files

    ended, whole, files = run("whole", -1)
    assert ended == 0 and whole.startswith("8 4 ")
    rng = random.Random(0)
    for number in range(8):
        first, then = rng.randrange(1, 30), rng.randrange(1, 20)
        assert run(str(number), first)[0] == -signal.SIGKILL
        run(str(number), then)
        assert run(str(number), -1) == (0, whole, files), (first, then)


def test_accumulated_batches_are_averaged():
    def constant(model, number, rng):
        return model.layer.weight.sum() * (number + 1)

    one = fit(Line(), constant, Optimisation(steps=1, accumulate=4, max_grad_norm=1e9), progress=False).losses[0]
    assert one["gradient"] == pytest.approx(2.5 * 2)  # mean of 1, 2, 3, 4; the norm of four equal gradients


def test_an_interrupt_keeps_what_was_done():
    def interrupted(model, number, rng):
        if number == 3:
            raise KeyboardInterrupt
        return loss_of(model, number, rng)

    seen = []
    training = fit(Line(), interrupted, Optimisation(steps=9), callback=seen.append, progress=False)
    assert training.interrupted and len(training.losses) == 3
    assert [each.interrupted for each in seen] == [False, False, False, True] and seen[-1] is training


def test_the_best_evaluation_is_what_remains():
    model, figures = Line(), iter([0.2, 0.9, 0.5])
    kept = []

    def evaluate():
        kept.append(model.layer.weight.clone())
        return {"em": next(figures)}

    training = fit(
        model,
        loss_of,
        Optimisation(steps=3, learning_rate=0.1, evaluate_every=1),
        evaluate=evaluate,
        best="em",
        progress=False,
    )
    assert [row["em"] for row in training.evaluations] == [0.2, 0.9, 0.5]
    assert torch.equal(model.layer.weight, kept[1]) and not torch.equal(kept[1], kept[2])


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(KitError, match="step 1: wanted a loss that is a number, given nan"):
        fit(
            Line(),
            lambda model, number, rng: model.layer.weight.sum() * float("nan"),
            Optimisation(steps=1),
            progress=False,
        )


def test_schedules():
    stable = Optimisation(steps=100, warmup_steps=10, schedule="stable_decay", decay_share=0.5, final_lr_share=0.2)
    assert [round(stable.factor(step), 2) for step in (0, 9, 10, 49, 50, 75)] == [0.1, 1.0, 1.0, 1.0, 1.0, 0.6]
    assert Optimisation(steps=10, schedule="constant").factor(9) == 1.0


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("schedule", "cosine", "schedule: wanted one of constant, linear, stable_decay, given 'cosine'"),
        ("steps", 0, "steps: wanted a whole number of at least 1, given 0"),
        ("accumulate", 1.5, "accumulate: wanted a whole number"),
        ("learning_rate", float("nan"), "learning_rate: wanted a finite number of at least 0.0, given nan"),
        ("learning_rate", float("inf"), "learning_rate: wanted a finite number"),
        ("learning_rate", "fast", "learning_rate: wanted a finite number"),
        ("weight_decay", -1, "weight_decay: wanted a finite number of at least 0.0, given -1"),
        ("decay_share", 2, "decay_share: wanted a number from 0.0 to 1.0, given 2"),
        ("precision", "half", "precision: wanted one of no, bf16, given 'half'"),
    ],
)
def test_settings_that_train_nothing_are_refused(option, value, words):
    with pytest.raises(KitError, match=words):
        Optimisation(**{"steps": 1, option: value})


def test_a_gradient_that_is_no_number_stops_the_run():
    model = Line()
    with pytest.raises(KitError, match="step 1: wanted gradients that are numbers, given a norm of nan"):
        fit(model, lambda model, *_: (model.layer.weight * 0).sum().sqrt(), Optimisation(steps=1), progress=False)
    assert model.layer.weight.isfinite().all()


def test_embeddings_have_their_own_rate_and_only_matrices_decay():
    model = nn.ModuleDict({"words": nn.Embedding(100, 2), "layer": nn.Linear(2, 2), "buckets": nn.Embedding(32, 2)})
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def nothing(model, number, rng):
        return sum(value.sum() * 0 for value in model.parameters())

    fit(model, nothing, Optimisation(steps=1, learning_rate=0.1, weight_decay=0.5), progress=False)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"layer.weight"}


def test_one_process_trains_at_one_precision_after_another():
    def last(precision):
        optimisation = Optimisation(steps=3, precision=precision)
        kinds = []

        def watched(model, number, rng):
            kinds.append(model.layer(torch.ones(1, 4)).dtype)
            return loss_of(model, number, rng)

        return fit(Line(), watched, optimisation, progress=False).losses[-1]["loss"], kinds[-1]

    (first, plain), (half, mixed), (again, _) = last("no"), last("bf16"), last("no")
    assert first == again and plain == torch.float32 and mixed == torch.bfloat16
    assert half == pytest.approx(first, rel=0.05)
