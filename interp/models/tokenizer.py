"""A model's own tokenizer. Uses sentencepiece itself if the folder has a sentencepiece ``tokenizer.model``.

The model was trained with that file. A ``tokenizer.json`` beside it, and the tokenizer that transformers 5 makes of it,
are conversions and can give other ids. OpenLLaMA's page warns of this; 'thermal' and runs of spaces are known examples.
So sentencepiece encodes the text, and treats the string of a special token as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

from interp.models.checkpoint import LoadError, refusing

_MODEL = "tokenizer.model"
_CONVERTED = "tokenizer.json"
_TIKTOKEN = re.compile(rb"[A-Za-z0-9+/]+=* \d+\n")


class SentencePieceTokenizer(SentencePieceBackend):  # type: ignore[misc]  # transformers gives no types
    """Sentencepiece with the interface of transformers. BOS comes first if special tokens are requested."""

    def __init__(self, vocab_file: str, **kwargs: Any) -> None:
        # ``add_bos_token`` also keeps TransformerLens from loading the conversion instead.
        given = {"special_tokens_pattern": "bos", "clean_up_tokenization_spaces": False, **kwargs}
        super().__init__(vocab_file=vocab_file, **{**given, "add_bos_token": True, "legacy": True})

    def tokenize(self, text: str, **_: Any) -> list[str]:
        """The pieces of a text."""
        return self.sp_model.encode(text, out_type=str)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the tokens, with bytes joined to characters. BOS and EOS have no text."""
        return self.sp_model.decode_pieces(tokens)

    def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> Any:
        ids = self.sp_model.encode(text) if isinstance(text, str) else None
        return super()._encode_plus(ids or text, *args, **kwargs)


def open_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """Open the tokenizer in a folder.

    Raises:
        LoadError: the tokenizer cannot be read, or ``tokenizer.model`` and ``tokenizer.json`` do not belong together.
    """
    with refusing(f"the tokenizer in {source} cannot be read"):
        pieces = _read_pieces(source)
        if pieces is None:
            return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        if (source / _CONVERTED).exists():
            _refuse_another(pieces, Tokenizer.from_file(str(source / _CONVERTED)), source)
        ids = {"bos_token": pieces.bos_id(), "eos_token": pieces.eos_id(), "unk_token": pieces.unk_id()}
        special = {name: pieces.id_to_piece(i) for name, i in ids.items() if i >= 0}
        return SentencePieceTokenizer(str(source / _MODEL), name_or_path=str(source), **special)


def _read_pieces(source: Path) -> sentencepiece.SentencePieceProcessor | None:
    """The sentencepiece model of a folder. ``None`` if it has none, or a tiktoken file with its conversion."""
    path = source / _MODEL
    if not path.exists():
        return None
    data = path.read_bytes()
    if _TIKTOKEN.match(data):
        return None
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(data)
    except RuntimeError as error:
        raise LoadError(
            f"{path} is not a sentencepiece model: it is empty, truncated or only a pointer; download it again"
        ) from error
    return pieces


def _refuse_another(pieces: sentencepiece.SentencePieceProcessor, converted: Tokenizer, source: Path) -> None:
    """Refuse the conversion of another model, or one with tokens that sentencepiece cannot give."""
    added = converted.get_added_tokens_decoder()
    special = {i for i, token in added.items() if token.special}
    names = {i: token for token, i in converted.get_vocab().items() if i not in special}
    n = pieces.get_piece_size()
    differ = [(i, token) for i, token in sorted(names.items()) if i >= n or pieces.id_to_piece(i) != token]
    if differ:
        i, token = differ[0]
        raise LoadError(
            f"{source / _CONVERTED} has {token!r} as token {i}, which {_MODEL} lacks: one of the two is not the "
            f"model's, or tokens were added after training. Keep only the one used in training"
        )
