"""Speed ratios of extraction, flags and compression to Hugging Face ``generate``, from one run.

There are two models. The largest small one runs on windows of the shipped corpus, of which 5 % are memorized. A random
model of Pythia-160M's exact shape runs on windows made so that it has memorized 5 % of them and misses the others at
the same positions as the small model. ``generate`` runs on the plain Hugging Face model, at its best batch size.
Timings use one thread and processor time, so that other work on the machine matters less, with interleaved rounds and
medians. The flags, the texts and the lengths are checked to be the same.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoXConfig, PreTrainedModel

from interp.data.windows import Windows
from interp.models.loading import load_model
from interp.planted.corpus import planted_windows
from interp.planted.shapes import TOKENIZER
from interp.statistical.compression import compress
from interp.statistical.extraction import extract
from interp.statistical.flags import memorized_flags

MEMORIZED_SHARE = 0.05

PYTHIA_160M = GPTNeoXConfig(
    vocab_size=50304,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    max_position_embeddings=2048,
    rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.25},
)


def generate(hf: PreTrainedModel, prefix: torch.Tensor, n: int, batch_size: int) -> np.ndarray:
    """Greedy continuations by Hugging Face. End-of-text does not stop them."""
    written = [
        hf.generate(
            part,
            attention_mask=torch.ones_like(part),
            do_sample=False,
            min_new_tokens=n,
            max_new_tokens=n,
            eos_token_id=None,
            pad_token_id=0,
        )[:, part.shape[1] :]
        for part in prefix.split(batch_size)
    ]
    return torch.cat(written).cpu().numpy()


def timed(rounds: int, **runs: Callable[[], Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Median processor seconds of each function, run in turn in every round, and the last result of each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            results[name] = run()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}, results


def mix_of_corpus(model: TransformerBridge, n_windows: int) -> Windows:
    """Windows of the shipped corpus, 5 % of them memorized."""
    windows = planted_windows(sets=["held_out", "planted-1", "planted-128", "planted-256"])
    (flags,) = memorized_flags(model, [windows])
    rng = np.random.default_rng(0)
    n_memorized = round(MEMORIZED_SHARE * n_windows)
    found, others = np.flatnonzero(flags.memorized), np.flatnonzero(~flags.memorized)
    if len(found) < n_memorized:
        raise SystemExit(f"{model.cfg.model_name} has memorized {len(found)} windows; {n_memorized} are needed")
    drawn = [rng.choice(found, n_memorized, replace=False), rng.choice(others, n_windows - n_memorized, replace=False)]
    return windows.select(rng.permutation(np.concatenate(drawn)))


def mix_of_own_text(model: TransformerBridge, first_miss: np.ndarray) -> Windows:
    """Windows with a first miss at a chosen position: a random model's own text with one token changed."""
    generator = torch.Generator().manual_seed(0)
    d_vocab = model.cfg.d_vocab
    start = Windows.from_tokens(torch.randint(0, d_vocab, (len(first_miss), 64), generator=generator))
    tokens = torch.cat([start.prefix, torch.from_numpy(extract(model, start, log_prob=False).generated)], dim=1)
    rows = torch.from_numpy(np.flatnonzero(first_miss < 32))
    at = 32 + torch.from_numpy(first_miss)[rows]
    tokens[rows, at] = (tokens[rows, at] + 1) % d_vocab
    return Windows.from_tokens(tokens, source="own text")


def random_160m(folder: Path) -> tuple[TransformerBridge, PreTrainedModel]:
    """A random model of Pythia-160M's shape, as a bridge and plain. Its weights are large enough to use the context."""
    torch.manual_seed(0)
    hf = AutoModelForCausalLM.from_config(PYTHIA_160M).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
    PYTHIA_160M.save_pretrained(folder)
    plain = AutoModelForCausalLM.from_config(PYTHIA_160M).eval()
    plain.load_state_dict(hf.state_dict())
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=hf, tokenizer=AutoTokenizer.from_pretrained(TOKENIZER), device="cpu"
    )
    bridge.cfg.model_name = "random, Pythia-160M's shape"
    return bridge, plain


def bench(
    model: TransformerBridge,
    hf: PreTrainedModel,
    windows: Windows,
    *,
    batch_sizes: list[int],
    rounds: int,
    n_compressed: int,
    length_step: int,
) -> None:
    name, n = model.cfg.model_name, windows.continuation_len
    ours = max(batch_sizes)
    by_size = {size: timed(1, run=partial(generate, hf, windows.prefix, n, size))[0]["run"] for size in batch_sizes}
    best = min(by_size, key=by_size.__getitem__)
    print(f"{name}: {len(windows)} windows; generate " + ", ".join(f"{t:.2f} s at {s}" for s, t in by_size.items()))

    times, results = timed(
        rounds,
        generate=lambda: generate(hf, windows.prefix, n, best),
        score=lambda: extract(model, windows, log_prob=False, batch_size=ours),
        log_prob=lambda: extract(model, windows, batch_size=ours),
        flags=lambda: next(memorized_flags(model, [windows], batch_size=ours)),
    )
    written, full, flags = results["generate"], results["score"], results["flags"]
    differ = int((full.generated != written).any(axis=1).sum())
    memorized = (written == windows.continuation.numpy()).all(axis=1)
    print(
        f"  memorized {memorized.mean():.1%}; same flags: {bool((flags.memorized == memorized).all())}; texts that "
        f"differ from generate's: {differ} (windows with near ties: {int((full.near_ties > 0).sum())})"
    )
    print(f"  flags           {times['generate'] / times['flags']:5.2f}x generate  (wanted: 2)")
    print(f"  full score      {times['generate'] / times['score']:5.2f}x generate  (wanted: 1)")
    print(f"  with log-prob   {times['generate'] / times['log_prob']:5.2f}x generate")

    recited = windows.select(np.flatnonzero(memorized)[:n_compressed])
    lengths = range(length_step, windows.prefix_len + 1, length_step)

    def rounds_of_generate() -> np.ndarray:
        works = [
            (generate(hf, recited.prefix[:, -length:], n, best) == recited.continuation.numpy()).all(axis=1)
            for length in lengths
        ]
        return np.stack(works, axis=1)

    times, results = timed(rounds, generate=rounds_of_generate, ours=lambda: compress(model, recited))
    found = results["ours"]
    same = bool((found.works[:, [length - 1 for length in lengths]] == results["generate"]).all())
    print(
        f"  compression     {times['ours'] / times['generate'] / length_step:5.2f} of the time of "
        f"{windows.prefix_len} rounds of generate  (wanted: 0.33)"
    )
    print(
        f"                  {len(recited)} windows, {len(lengths)} rounds run, "
        f"mean ratio {np.nanmean(found.ratio):.2f}; same lengths: {same}"
    )


def main(
    small: str = typer.Option("pythia-small-1.2m", help="Registry name or directory of the small model."),
    n_windows: int = typer.Option(512, help="Windows of the small model."),
    n_random: int = typer.Option(96, help="Windows of the random model of Pythia-160M's shape; 0 leaves it out."),
    rounds: int = typer.Option(3, help="Rounds of each comparison."),
) -> None:
    torch.set_num_threads(1)
    model = load_model(small, device="cpu")
    mix = mix_of_corpus(model, n_windows)
    original = model.original_model.config.name_or_path
    hf = AutoModelForCausalLM.from_pretrained(original, dtype=torch.float32).eval()
    bench(model, hf, mix, batch_sizes=[64, 128, 256, 512], rounds=rounds, n_compressed=64, length_step=1)
    if n_random:
        (flags,) = memorized_flags(model, [mix])
        rest = np.sort(flags.exact_run[~flags.memorized])
        n_memorized = max(2, round(MEMORIZED_SHARE * n_random))
        spread = rest[np.linspace(0, len(rest) - 1, n_random - n_memorized).astype(int)]
        first_miss = np.random.default_rng(0).permutation(np.concatenate([np.full(n_memorized, 32), spread]))
        with tempfile.TemporaryDirectory() as folder:
            model, hf = random_160m(Path(folder))
        bench(
            model,
            hf,
            mix_of_own_text(model, first_miss),
            batch_sizes=[n_random // 4, n_random // 2, n_random],
            rounds=rounds,
            n_compressed=n_memorized,
            length_step=4,
        )


if __name__ == "__main__":
    typer.run(main)
