"""`kit retriever train`: teach an encoder by a recipe, from the scores in a file or from a live teacher."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kit.cli.options import (
    Accumulate,
    Device,
    LearningRate,
    Precision,
    SaveEvery,
    Seed,
    Steps,
    Tokenizer,
    Work,
    changed,
    folder_to_write,
    group,
    named,
    optimised,
    own_device,
    refuse_overwriting,
)

if TYPE_CHECKING:
    from kit.encoder import DualEncoder
    from kit.recipes import Recipe

app = group("Teach a retriever, embed, index and search.")

Model = Annotated[
    str, typer.Option("--model", help="folder, .tar.gz, released name, model on the hub, or toy-bert to begin from")
]
Family = Annotated[
    str | None,
    typer.Option("--family", help="fid-kd, dpr, bert-dot, ... for a plain BERT [default: what its files tell]"),
]
PassageModel = Annotated[
    str | None, typer.Option("--passage-model", help="passage encoder of a DPR pair in two folders")
]


@app.command()
def train(
    examples: Annotated[
        Path, typer.Argument(help="examples with a teacher's scores, .json or .jsonl, or its triples, .tsv (.gz too)")
    ],
    model: Model,
    out: Annotated[Path, typer.Option(help="folder for the trained encoder")],
    recipe: Annotated[
        str, typer.Option(help="fid-kd, rdr, margin-mse, dpr, tas-b, atlas-pdist, ...; see docs/recipes.md")
    ] = "fid-kd",
    scale: Annotated[
        str, typer.Option(help="toy, or full as published: the recipe's hyper-parameters, and its student")
    ] = "toy",
    teacher: Annotated[
        str | None,
        typer.Option(help="checkpoint of the recipe's teacher, which scores the passages anew [default: the file's]"),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="kl, mse, margin_mse, max_margin, ranknet, listnet, ... [default: the recipe's]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="of the student's scores (and the teacher's), for kl and kin")
    ] = None,
    teacher_temperature: Annotated[float | None, typer.Option(help="of the teacher's scores, if another")] = None,
    questions_file: Annotated[
        Path | None, typer.Option("--questions", help="the questions of triples, whose lines have ids alone")
    ] = None,
    passages_file: Annotated[Path | None, typer.Option("--passages", help="the passages of triples")] = None,
    dev: Annotated[
        Path | None, typer.Option(help="scored examples to measure agreement on; the best state is kept")
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=1, help="steps between measurements on --dev")] = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="questions of a batch")] = None,
    accumulate: Accumulate = None,
    n_context: Annotated[int | None, typer.Option(min=2, help="passages of a question in a batch")] = None,
    learning_rate: LearningRate = None,
    precision: Precision = None,
    family: Family = None,
    passage_model: PassageModel = None,
    tokenizer: Tokenizer = None,
    work: Work = None,
    save_every: SaveEvery = None,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Teach a bi-encoder by a recipe.

    A recipe is a teacher, a loss, a student and what a batch is made of. The teacher's scores are those of the file
    (`kit reader score` writes them), or of --teacher. `dpr` learns from answers and needs no teacher. The student is
    the recipe's, made from --model; with --family, or from a pair of encoders, the model as it is. A stopped run goes
    on with the same command. Several GPUs: `accelerate launch -m kit.cli retriever train ...`; two
    processes on a CPU: `torchrun --nproc-per-node 2 -m kit.cli retriever train ...`.

    \b
    Examples:
      kit retriever train toy/train.scored.jsonl --model toy-bert --out toy/retriever --steps 200
      kit retriever train toy/train.bm25.jsonl --model toy-bert --out toy/dpr --recipe dpr --steps 200
      kit retriever train toy/train.bm25.jsonl --model toy-bert --out toy/rdr --recipe rdr --teacher toy-dpr-reader
      kit retriever train kd.tsv --questions q.tsv --passages p.tsv --recipe margin-mse --model toy-bert --out kd
    """
    from kit.cli.runs import finish, run_folder
    from kit.data import load_examples

    folder_to_write(out, ("kit_encoder.json",), "encoder")
    refuse_overwriting((out,), (examples, model, dev, questions_file, passages_file))
    questions, corpus, table = _scored(examples, questions_file, passages_file)
    measured = None if dev is None else load_examples(dev, name="teacher")
    from kit.recipes import RECIPES, student_of, train_recipe
    from kit.teachers import load_teacher
    from kit.types import KitError

    named("--scale", scale, ("toy", "full"))
    chosen = RECIPES[named("--recipe", recipe, RECIPES)]
    given = {
        "steps": steps,
        "learning_rate": learning_rate,
        "accumulate": accumulate,
        "precision": precision,
        "seed": seed,
    }
    given |= {"evaluate_every": evaluate_every, "save_every": save_every}
    chosen = _with_loss(chosen, scale, loss, temperature, teacher_temperature)
    chosen = _with_settings(chosen, scale, batch, n_context, given)
    if teacher is not None and chosen.batches == "in-batch":
        raise KitError("--teacher", f"none: {recipe} learns from answers", repr(teacher))
    if teacher is None and chosen.batches == "topic-balanced":
        raise KitError("--teacher", f"a checkpoint: {recipe} scores the passages of each batch", "none")
    place = own_device(device)
    encoder = load_encoder(model, place, "float32", tokenizer, family, passage_model)
    if family is None and not encoder.family.two_towers:
        encoder = student_of(chosen, encoder, scale)
    training = train_recipe(
        chosen, encoder, questions, corpus, table,
        teacher and load_teacher(chosen.teacher, teacher, device=place), scale=scale,
        folder=run_folder(out, work), evaluate=measured and _agreement_on(encoder, measured),
        best=measured and "kendall",
    )  # fmt: skip
    finish(training, out, work, encoder.save_pretrained)


def _scored(examples: Path, questions_file: Path | None, passages_file: Path | None) -> Any:
    """Questions, passages and a teacher's scores: of examples, or of neural-ranking-kd's triples and two more files."""
    from kit.data import load_examples, load_passages, load_questions
    from kit.teachers.triples import load_teacher_triples
    from kit.types import KitError

    triples = examples.name.removesuffix(".gz").endswith(".tsv")
    if triples != (questions_file is not None) or triples != (passages_file is not None):
        given = "none" if triples else "examples, which hold their own"
        raise KitError("--questions, --passages", "both with a teacher's triples (.tsv), and only then", given)
    if not triples:
        return load_examples(examples, name="teacher")
    table = load_teacher_triples(examples)
    questions = [one for one in load_questions(questions_file) if one.id in table.rows]
    corpus = load_passages(passages_file)
    missing = [name for name in table.question_ids.tolist() if name not in {one.id for one in questions}]
    if missing:
        raise KitError(str(questions_file), "all questions of the triples", f"no question {missing[0]!r}")
    absent = next((name for name in table.passage_ids[table.mask].tolist() if name not in corpus), None)
    if absent is not None:
        raise KitError(str(passages_file), "all passages of the triples", f"no passage {absent!r}")
    return questions, corpus, table


def load_encoder(
    model: str, device: str, dtype: str, tokenizer: str | None, family: str | None, passage_model: str | None
) -> DualEncoder:
    """An encoder as `DualEncoder.from_pretrained` loads it, or one of the toy models."""
    from kit.encoder import FAMILIES, DualEncoder

    if family is not None:
        named("--family", family, FAMILIES)
    options = {"family": family, "passage_tower": passage_model, "tokenizer": tokenizer}
    return DualEncoder.from_pretrained(model, device=device, dtype=dtype, **options)


def _with_loss(
    recipe: Recipe, scale: str, loss: str | None, temperature: float | None, teacher_temperature: float | None
) -> Recipe:
    """The recipe with the loss and the temperatures that were given; another loss leaves the recipe's behind."""
    from kit.recipes import RECIPE_LOSSES
    from kit.types import KitError

    given = {"temperature": temperature, "teacher_temperature": teacher_temperature}
    given = {name: value for name, value in given.items() if value is not None}
    if loss is None and not given:
        return recipe
    if recipe.batches not in ("listwise", "pairs"):
        raise KitError("--loss, --temperature", f"neither: {recipe.name} has its own loss", loss or given)
    kept = {} if loss not in (None, recipe.loss) else getattr(recipe, scale).loss_options
    loss = named("--loss", loss or recipe.loss, RECIPE_LOSSES)
    known = inspect.signature(RECIPE_LOSSES[loss]).parameters
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name not in known:
            raise KitError(option, "a loss with a temperature (kl, reverse_kl, js, ...)", repr(loss))
        if value <= 0:
            raise KitError(option, "a number above 0", value)
    return replace(recipe, loss=loss, **{scale: replace(getattr(recipe, scale), loss_options={**kept, **given})})


def _with_settings(
    recipe: Recipe, scale: str, batch: int | None, n_context: int | None, given: dict[str, Any]
) -> Recipe:
    """The recipe with the sizes and the optimisation that were given."""
    from kit.types import KitError

    config = getattr(recipe, scale)
    sizes = {"questions": batch}
    if n_context is not None:
        if recipe.batches != "listwise":
            wanted = f"none: batches of {recipe.name} are made of {recipe.batches} passages"
            raise KitError("--n-context", wanted, n_context)
        sizes["passages"] = n_context
    config = changed(config, **sizes, optimisation=optimised(config.optimisation, **given))
    return replace(recipe, **{scale: config})


def _agreement_on(encoder: DualEncoder, measured: Any) -> Callable[[], dict[str, float]]:
    """A function that measures how far the encoder's scores, as they are then, agree with the teacher's."""
    from kit.metrics import agreement
    from kit.teachers import EncoderScores

    questions, corpus, table = measured

    def means() -> dict[str, float]:
        means = agreement(table, EncoderScores(encoder).score(questions, corpus, table)).means
        return {name: means[name] for name in ("kendall", "spearman", "overlap")}

    return means
