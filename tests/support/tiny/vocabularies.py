"""Vocabularies of every kind, for the weights of `llama`: a few words, and any byte.

Each function adds one to a writer, with `n_vocab` tokens.
"""

from __future__ import annotations

import gguf

_WORDS = (
    "▁", "a", "A", "▁the", "1", "!", "é", "中", "aa", "AA", "▁▁", "11", "!!", "中中",
)  # fmt: skip
_NEWLINES = ("\n", "\n\n", "\n\n\n")


def add_sentencepiece(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """Pairs merged by score; newlines are tokens of their own in any text, as in Gemma's."""
    _add_scored(writer, "llama", n_vocab, newlines=_NEWLINES)


def add_unigram(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """The likeliest way to write a text in pieces, as in T5's."""
    _add_scored(writer, "t5", n_vocab)


def add_plamo2(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """The likeliest way, looked for from the end, as in PLaMo 2's."""
    _add_scored(writer, "plamo2", n_vocab)


def add_wordpiece(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """The longest piece of every word, as in BERT's."""
    names = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *_WORDS]
    _add(writer, "bert", names, [gguf.TokenType.CONTROL] * 4, n_vocab)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 1)
    writer.add_sep_token_id(2)


def add_rwkv(writer: gguf.GGUFWriter, n_vocab: int) -> None:
    """The longest piece at every place, as in RWKV's."""
    names = ["<s>", *(f"\\x{byte:02x}" for byte in range(256)), "aa", "AA", "\\n\\n"]
    _add(writer, "rwkv", names, [gguf.TokenType.CONTROL], n_vocab)


def _add_scored(
    writer: gguf.GGUFWriter, model: str, n_vocab: int, newlines: tuple[str, ...] = ()
) -> None:
    controls = ["<unk>", "<s>", "</s>"]
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    names = [*controls, *pieces, *newlines, *_WORDS]
    types = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
    types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.USER_DEFINED] * len(newlines)
    _add(writer, model, names, types, n_vocab)
    writer.add_unk_token_id(0)
    writer.add_token_scores([-float(index) for index in range(n_vocab)])


def _add(
    writer: gguf.GGUFWriter, model: str, names: list[str], types: list[gguf.TokenType], n_vocab: int
) -> None:
    n_unused = n_vocab - len(names)
    normal = [gguf.TokenType.NORMAL] * (len(names) - len(types))
    writer.add_tokenizer_model(model)
    writer.add_token_list([*names, *(f"<unused{index}>" for index in range(n_unused))])
    writer.add_token_types([*types, *normal, *[gguf.TokenType.UNUSED] * n_unused])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
