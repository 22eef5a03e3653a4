"""Pre-train the toy T5 that ships in data/toy/t5: `python data/make/t5_guided.py`.

Reading exercises about imagined worlds (kit.toy.counterfactual): sentences to fill over one to ten passages, questions
over one or two. T5 1.0, too, was trained on reading comprehension beside filling gaps. In the first half of the run a
guide shows the decoder where the answer stands, as in the guided alignment of machine translation (Chen et al. 2016):
the exercises come with their answers' places. The guide fades out, and nothing after pre-training uses it: a reader is
fine-tuned on answers alone. What comes out reads ten passages nearly as well before fine-tuning as after it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import torch
import typer
from t5 import tokenize
from t5_start import initial_t5
from tables import Threads, exit_if_interrupted, run_command
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from kit.reader import FiDReader
from kit.shipped import DATA
from kit.toy.counterfactual import Exercise, make_exercise
from kit.toy.facts import load_kinds
from kit.toy.names import make_pools
from kit.toy.vocabulary import t5_tokenizer
from kit.train import Optimisation
from kit.train.fit import fit

FEW, MANY = (1, 2, 4), (1, 2, 4, 4, 10)  # passages of an exercise, drawn anew for each batch: at first, and then
FEW_UNTIL = 0.15  # share of the steps with few passages only: more exercises a batch, and learning starts sooner
QUESTIONS_OVER = 2  # questions stand over so many passages at most; over more there are only sentences to fill
PASSAGES = 64  # of a batch
GUIDE_UNTIL = 0.5  # share of the steps after which the guide has faded out; it is whole for the first half of them
POINT, CHOOSE = 1.0, 0.5  # weights of the guide's two parts


def exercise_loss(reader: FiDReader, exercises: list[Exercise], guide: float) -> tuple[Tensor, dict[str, float]]:
    """The loss of the answers, plus `guide` times what it costs to look elsewhere; and the parts of it.

    The guide has two parts: half of the last layer's heads should point at the answer's words in the gold passages,
    and the mean attention logit of a passage, over layers, heads and words, should choose a gold one.
    """
    ids, mask, labels = tokenize(reader, exercises)
    states = reader.encode(ids, mask).padded
    out = reader.t5(
        encoder_outputs=BaseModelOutput(last_hidden_state=states),
        attention_mask=mask.flatten(1),
        labels=labels,
        output_attentions=guide > 0,
    )
    figures = {"answer": float(out.loss.detach())}
    if guide == 0:
        return out.loss, figures
    gold = torch.tensor([exercise.gold for exercise in exercises])  # (q, k)
    answer = (ids.unsqueeze(1) == labels[:, :, None, None]) & gold[:, None, :, None]  # (q, a, k, t)
    answer &= (labels > 1)[:, :, None, None]
    last = out.cross_attentions[-1]
    pointed = (last[:, : last.shape[1] // 2].mean(1) * answer.flatten(2)).sum(-1)  # (q, a)
    point = -(pointed[answer.flatten(2).any(-1)] + 1e-4).log().mean()
    # Logits and log-probabilities differ by a constant of the question, which the softmax over passages ignores.
    logits = torch.stack([layer[:, :, 0].clamp_min(1e-30).log().mean(1) for layer in out.cross_attentions]).mean(0)
    scores = (logits.view(mask.shape) * mask).sum(-1) / mask.sum(-1)  # (q, k)
    choose = -scores.log_softmax(-1).masked_fill(~gold, -1e9).logsumexp(-1).mean()
    figures |= {"point": float(point.detach()), "choose": float(choose.detach())}
    return out.loss + guide * (POINT * point + CHOOSE * choose), figures


def main(
    out: Annotated[Path, typer.Option(help="where the pre-trained T5 is written")] = DATA / "t5",
    work: Annotated[Path, typer.Option(help="checkpoints; a run that was stopped goes on")] = Path("runs/toy-t5"),
    steps: Annotated[int, typer.Option(help="steps of 64 passages; 9,000 took 52 minutes on two busy cores")] = 9000,
    seed: int = 0,
    threads: Threads = 0,
) -> None:
    """Pre-train the toy T5 on imagined worlds. Example: python data/make/t5_guided.py --steps 9000"""
    tokenizer, kinds, pools = t5_tokenizer(), load_kinds(), make_pools()
    reader = FiDReader(initial_t5(tokenizer, seed=seed), tokenizer, max_tokens=128)
    reader.t5.decoder.set_attn_implementation("eager")  # the guide needs the attention's probabilities
    optimisation = Optimisation(
        steps, learning_rate=1e-3, embedding_lr_multiplier=8, warmup_steps=100, schedule="stable_decay",
        decay_share=0.35, final_lr_share=0.02, seed=seed, save_every=250,
    )  # fmt: skip

    def loss_of(model: FiDReader, number: int, rng: random.Random) -> tuple[Tensor, dict[str, float]]:
        count = rng.choice(FEW if number < FEW_UNTIL * steps else MANY)
        gap = 0.5 if count <= QUESTIONS_OVER else 1.0
        exercises = [make_exercise(kinds, pools, rng, passages=count, gap=gap) for _ in range(PASSAGES // count)]
        strength = min(1.0, max(0.0, 2 * (1 - number / (GUIDE_UNTIL * steps))))
        loss, figures = exercise_loss(model, exercises, strength)
        return loss, {f"loss at {count}": figures.pop("answer"), **figures}

    exit_if_interrupted(fit(reader, loss_of, optimisation, folder=work, name="toy T5"), work)
    reader.t5.set_attn_implementation("sdpa")
    reader.save_pretrained(out)
    typer.echo(f"wrote {out}")


if __name__ == "__main__":
    run_command(main)
