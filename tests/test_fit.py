"""The training loop: schedules, groups, resuming to the same numbers, interruption, the best weights."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from kit.train import Optimisation
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
    optimisation = Optimisation(steps=12, rate=0.05, warm_up=3, save_every=5)
    whole = Line()
    losses = fit(whole, loss_of, optimisation, progress=False).losses

    def stops_at_8(model, number, rng):
        if number == 8:
            raise RuntimeError("the power goes")
        return loss_of(model, number, rng)

    with pytest.raises(RuntimeError):
        fit(Line(), stops_at_8, optimisation, folder=tmp_path, progress=False)
    written = {"step-5.safetensors", "step-5.optimizer.safetensors", "training.json"}
    assert {path.name for path in tmp_path.iterdir()} == written
    resumed = Line()
    with torch.no_grad():
        resumed.layer.weight.fill_(9.0)  # overwritten by the checkpoint
    again = fit(resumed, loss_of, optimisation, folder=tmp_path, progress=False).losses
    assert [row["loss"] for row in again] == [row["loss"] for row in losses]
    assert torch.equal(resumed.layer.weight, whole.layer.weight)


def test_a_folder_of_other_settings_is_refused(tmp_path):
    fit(Line(), loss_of, Optimisation(steps=2), folder=tmp_path, progress=False)
    with pytest.raises(KitError, match=r"training\.json: wanted a run with the same settings"):
        fit(Line(), loss_of, Optimisation(steps=3), folder=tmp_path, progress=False)


def test_accumulated_batches_are_averaged():
    def constant(model, number, rng):
        return model.layer.weight.sum() * (number + 1)

    one = fit(Line(), constant, Optimisation(steps=1, accumulate=4, clip=1e9), progress=False).losses[0]
    assert one["gradient"] == pytest.approx(2.5 * 2)  # mean of 1, 2, 3, 4; the norm of four equal gradients


def test_an_interrupt_keeps_what_was_done():
    def interrupted(model, number, rng):
        if number == 3:
            raise KeyboardInterrupt
        return loss_of(model, number, rng)

    seen = []
    training = fit(Line(), interrupted, Optimisation(steps=9), seen=seen.append, progress=False)
    assert training.interrupted and len(training.losses) == 3
    assert [each.interrupted for each in seen] == [False, False, False, True] and seen[-1] is training


def test_the_best_evaluation_is_what_remains():
    model, figures = Line(), iter([0.2, 0.9, 0.5])
    kept = []

    def evaluate():
        kept.append(model.layer.weight.clone())
        return {"em": next(figures)}

    training = fit(
        model, loss_of, Optimisation(steps=3, rate=0.1, evaluate_every=1), evaluate=evaluate, best="em", progress=False
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
    hold = Optimisation(steps=100, warm_up=10, schedule="hold", fall=0.5, final=0.2)
    assert [round(hold.factor(step), 2) for step in (0, 9, 10, 49, 50, 75)] == [0.1, 1.0, 1.0, 1.0, 1.0, 0.6]
    assert Optimisation(steps=10, schedule="constant").factor(9) == 1.0
    with pytest.raises(KitError, match="a schedule"):
        Optimisation(steps=1, schedule="cosine")


def test_embeddings_have_their_own_rate_and_only_matrices_decay():
    model = nn.ModuleDict({"words": nn.Embedding(100, 2), "layer": nn.Linear(2, 2), "buckets": nn.Embedding(32, 2)})
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def nothing(model, number, rng):
        return sum(value.sum() * 0 for value in model.parameters())

    fit(model, nothing, Optimisation(steps=1, rate=0.1, weight_decay=0.5), progress=False)
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
