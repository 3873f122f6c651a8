"""Makes the tokenizer and the planted windows from the shipped documents.

    python experiments/planted/plant_windows.py

Reads ``documents.parquet`` and writes the tokenizer (byte-level BPE, 2,048 entries) and ``windows.parquet``
beside it. Running it again gives the same files.
"""

from __future__ import annotations

import pandas as pd
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from interp.files import whole_file, whole_files
from interp.planted.corpus import DOCUMENTS, WINDOWS
from interp.planted.planting import cut_windows, plant
from interp.planted.shapes import N_CTX, TOKENIZER, VOCAB_SIZE
from interp.shipped import write_digests

SEED = 0
END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE over all documents, so that every family reads the same ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        model_max_length=N_CTX,
        clean_up_tokenization_spaces=False,
    )


def main() -> None:
    documents = pd.read_parquet(DOCUMENTS)
    tokenizer = train_tokenizer(documents["text"].tolist())
    with whole_files(TOKENIZER) as folder:
        tokenizer.save_pretrained(folder)
    token_ids = tokenizer.backend_tokenizer.encode_batch(documents["text"].tolist(), add_special_tokens=False)
    windows = plant(cut_windows(documents, [e.ids for e in token_ids], seed=SEED), seed=SEED)
    with whole_file(WINDOWS) as partial:
        windows.to_parquet(partial, compression="zstd", compression_level=19, index=False)
    write_digests()
    print(windows.groupby(["domain", "set"])["count"].agg(["size", "sum"]).to_string())
    print(
        f"{sum(len(e.ids) for e in token_ids):,} tokens, {len(windows):,} windows, {windows['count'].sum():,} showings"
    )


if __name__ == "__main__":
    main()
