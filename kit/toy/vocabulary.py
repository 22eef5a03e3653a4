"""The toy's words and its two tokenizers: one in T5's layout for readers, one in BERT's for retrievers.

Known words are one token each (short inputs make a small reader fast); a word outside the vocabulary falls into
characters, so any text can be read. Both are lower-cased, as BERT-base-uncased is.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from kit.toy.facts import load_kinds
from kit.toy.names import ADJECTIVES, FIRST_NAMES, NOUNS, make_pools

T5_SPECIAL = ("<pad>", "</s>", "<unk>", "<extra_id_0>")
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_split = pre_tokenizers.BertPreTokenizer()
_normalize = normalizers.BertNormalizer(lowercase=True)


def words_of(text: str) -> list[str]:
    """The words of a text as the toy's tokenizers split it.

    >>> words_of("Paris, the capital.")
    ['paris', ',', 'the', 'capital', '.']
    """
    return [word for word, _ in _split.pre_tokenize_str(_normalize.normalize_str(text))]


def vocabulary() -> list[str]:
    """Every word of the toy's templates, names, facts and numbers, most frequent first, then all characters.

    >>> "paris" in vocabulary()
    True
    """
    counts: Counter[str] = Counter()
    for text in _texts():
        counts.update(words_of(text))
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    pieces = [*characters, *(f"##{character}" for character in characters)]
    return [word for word, _ in counts.most_common() if word not in pieces] + pieces


def _texts() -> Iterable[str]:
    yield "question : title : context : fill :"
    for kind in load_kinds().values():
        yield from kind.mentions
        yield kind.name
        for relation in kind.relations.values():
            yield from relation.statements + relation.pronoun + relation.questions
        for name, facts in kind.rows:
            yield name
            yield from facts.values()
    pools = make_pools()
    yield from (" ".join(names) for names in (pools.words, pools.surnames, pools.symbols))
    yield " ".join((*FIRST_NAMES, *ADJECTIVES, *NOUNS))
    yield " ".join(str(number) for number in (*range(1000), *range(1400, 2030)))


def _word_pieces(special: Iterable[str], unknown: str) -> Tokenizer:
    ids = {word: number for number, word in enumerate((*special, *vocabulary()))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=64))
    tokenizer.normalizer = _normalize
    tokenizer.pre_tokenizer = _split
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def t5_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer in T5's layout: pad 0, `</s>` 1 (appended), unknown 2, one sentinel for masked words."""
    tokenizer = _word_pieces(T5_SPECIAL, "<unk>")
    joined = [decoders.Replace(f" {mark} ", mark) for mark in "-'"]  # port - au - prince, gulliver ' s travels
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(), decoders.Fuse(), *joined])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<extra_id_0>"],
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer in BERT's layout: `[CLS] text [SEP]`, or `[CLS] a [SEP] b [SEP]` for a pair."""
    tokenizer = _word_pieces(BERT_SPECIAL, "[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )
