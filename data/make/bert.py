"""Pre-train the toy BERT in data/toy/bert, where the toy's retrievers start: `python data/make/bert.py`.

The inverse cloze task on imagined passages (kit.toy.counterfactual): no question, no answer and no reader takes part.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer
from tables import Threads, exit_if_interrupted, run_command
from transformers import BertConfig

from kit.encoder import DualEncoder
from kit.shipped import DATA
from kit.toy.counterfactual import imagine, write_passage
from kit.toy.facts import load_kinds
from kit.toy.names import make_pools
from kit.toy.vocabulary import bert_tokenizer
from kit.train import Optimisation, train_inverse_cloze
from kit.types import Passage

BATCH = 128  # passages
EACH = 2  # of one entity


def initial_bert(*, seed: int = 0, d_model: int = 256, layers: int = 1) -> DualEncoder:
    """A BERT of FiD-KD's kind (shared, masked mean, 1/sqrt(d)) of 2.5 million parameters, before its first step."""
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=-(-len(tokenizer) // 8) * 8,
        hidden_size=d_model,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * d_model,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id,
    )
    return DualEncoder.from_config(config, tokenizer, family="fid-kd", seed=seed)


def imagined_passages(rng: random.Random) -> list[Passage]:
    """Passages about imagined entities of several kinds, `EACH` about one, as many as a batch has."""
    kinds, pools = load_kinds(), make_pools()
    drawn: list[Passage] = []
    while len(drawn) < BATCH:
        kind = kinds[rng.choice(list(kinds))]
        entities = imagine(kind, pools, rng, 6)
        for entity in entities[:2]:
            others = [other for other in entities if other is not entity]
            drawn += [write_passage(kind, entity, others, rng) for _ in range(EACH)]
    return drawn[:BATCH]


def main(
    out: Annotated[Path, typer.Option(help="where the pre-trained BERT is written")] = DATA / "bert",
    work: Annotated[Path, typer.Option(help="checkpoints; a run that was stopped goes on")] = Path("runs/toy-bert"),
    steps: Annotated[int, typer.Option(help="steps of 128 passages; 2,000 took 13 minutes on two busy cores")] = 2000,
    seed: int = 0,
    threads: Threads = 0,
) -> None:
    """Pre-train the toy BERT on imagined passages. Example: python data/make/bert.py --steps 2000"""
    encoder = initial_bert(seed=seed)
    optimisation = Optimisation(
        steps, learning_rate=3e-4, embedding_lr_multiplier=30, warmup_steps=50, schedule="stable_decay",
        decay_share=0.4, final_lr_share=0.02, seed=seed, save_every=250,
    )  # fmt: skip
    exit_if_interrupted(train_inverse_cloze(encoder, imagined_passages, optimisation, folder=work), work)
    encoder.save_pretrained(out)
    typer.echo(f"wrote {out}")


if __name__ == "__main__":
    run_command(main)
