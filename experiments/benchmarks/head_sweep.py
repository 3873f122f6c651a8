"""Speed ratios of the exact head sweep to plain loops, and of the gradient estimate to the sweep, from one run.

    python experiments/benchmarks/head_sweep.py [--windows 64] [--families Pythia ...] [--no-large]

The models are the largest small model of each family, on windows of the shipped corpus, and random models of
Pythia-160M's and OLMo2-1B's layer shapes with 4 layers. The sweep covers all heads. In the plain loops, each head costs
one whole pass, so one head per layer is timed and the time multiplied. Timings use one thread and processor time, so
that other work on the machine matters less, with interleaved rounds and medians. The values are checked to be the same.
Peak memory is counted beyond that before the run (Linux).
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from memory import memory_mib
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, GPTNeoXConfig, Olmo2Config, PretrainedConfig

from interp.data.windows import Windows
from interp.internal.ablation.gradient import estimate_heads
from interp.internal.ablation.heads import ablate_heads
from interp.internal.comparison.agreement import agreement
from interp.models.hooks import checked_hooks, hook_name, logits
from interp.models.loading import load_model
from interp.planted.corpus import planted_windows
from interp.planted.shapes import SMALL_FAMILIES, TOKENIZER, small_model_name

LARGE: dict[str, PretrainedConfig] = {
    "Pythia-160M's shape, 4 layers": GPTNeoXConfig(
        vocab_size=50304, hidden_size=768, num_hidden_layers=4, num_attention_heads=12, intermediate_size=3072,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.25},
    ),
    "OLMo2-1B's shape, 4 layers": Olmo2Config(
        vocab_size=100352, hidden_size=2048, num_hidden_layers=4, num_attention_heads=16, intermediate_size=8192,
        max_position_embeddings=4096,
    ),
}  # fmt: skip


def random_model(config: PretrainedConfig, folder: Path) -> TransformerBridge:
    """A random model with weights large enough for attention to matter."""
    torch.manual_seed(0)
    hf = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            if parameter.ndim == 2:
                parameter.mul_(2)
    config.architectures = [type(hf).__name__]
    config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    return TransformerBridge.boot_transformers(str(folder), hf_model=hf, tokenizer=tokenizer, device="cpu")


def zero(head: int) -> Callable[[torch.Tensor, object], torch.Tensor]:
    def fn(z: torch.Tensor, hook: object) -> torch.Tensor:
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return fn


@torch.no_grad()
def forced_loop(
    model: TransformerBridge, windows: Windows, heads: list[tuple[int, int]], batch_size: int
) -> np.ndarray:
    """Mean log-probability of the continuation with each head ablated, by ``run_with_hooks``."""
    out = np.empty((len(heads), len(windows)))
    for i, (layer, head) in enumerate(heads):
        for where, tokens in windows.batches(batch_size):
            with checked_hooks(model, {hook_name("hook_z", layer): zero(head)}):
                found = logits(model, tokens)[:, windows.prefix_len - 1 : -1].log_softmax(-1)
            truth = tokens[:, windows.prefix_len :, None]
            out[i, where] = found.gather(-1, truth).squeeze(-1).mean(-1).numpy()
    return out


@torch.no_grad()
def generate_loop(
    model: TransformerBridge, windows: Windows, heads: list[tuple[int, int]], batch_size: int
) -> np.ndarray:
    """M with each head ablated, by Hugging Face ``generate`` under the hook."""
    n = windows.continuation_len
    out = np.empty((len(heads), len(windows)))
    for i, (layer, head) in enumerate(heads):
        for where, tokens in windows.batches(batch_size):
            with checked_hooks(model, {hook_name("hook_z", layer): zero(head)}, n_calls=n):
                prefix = tokens[:, : windows.prefix_len]
                written = model.original_model.generate(
                    prefix, attention_mask=torch.ones_like(prefix), do_sample=False, min_new_tokens=n,
                    max_new_tokens=n, eos_token_id=None, pad_token_id=0,
                )  # fmt: skip
            out[i, where] = (written == tokens)[:, windows.prefix_len :].double().mean(1).numpy()
    return out


def flops(run: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products of a run, fused attention included."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu

    def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
        return sdpa_flop(query, key, value)

    with FlopCounterMode(display=False, custom_mapping={fused: attention}) as counter:
        run()
    return counter.get_total_flops()


def product_rate() -> float:
    """Operations per second of this machine's matrix product (float32, 1024 x 1024, best of 5)."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    taken = []
    for _ in range(5):
        start = time.process_time()
        a @ b
        taken.append(time.process_time() - start)
    return 2 * 1024**3 / min(taken)


def peak_mib(run: Callable[[], object]) -> float:
    """Peak memory of a run beyond that before it. NaN if the system does not give it."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # What earlier runs have freed is not this one's.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory_mib("VmRSS")
        run()
        return memory_mib("VmHWM") - before
    except OSError:
        return float("nan")


def bench(name: str, model: TransformerBridge, windows: Windows, *, rounds: int, batch_size: int) -> None:
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    some = [(layer, layer % n_heads) for layer in range(n_layers)]
    runs: dict[str, Callable[[], object]] = {
        "sweep": lambda: ablate_heads(model, windows, batch_size=batch_size),
        "sweep with M": lambda: ablate_heads(model, windows, metrics=("log_prob", "score"), batch_size=batch_size),
        "forced": lambda: forced_loop(model, windows, some, batch_size),
        "generate": lambda: generate_loop(model, windows, some, batch_size),
        "estimate": lambda: estimate_heads(model, windows, batch_size=min(batch_size, 16)),
    }
    exact = ablate_heads(model, windows, metrics=("log_prob", "score"), batch_size=batch_size)
    memorized = windows.select(exact.memorized_clean)
    if len(memorized):
        runs["sweep with M, memorized"] = lambda: ablate_heads(
            model, memorized, metrics=("log_prob", "score"), batch_size=batch_size
        )
    at = tuple(np.array(some).T)
    difference = np.abs(exact.log_prob[at] - forced_loop(model, windows, some, batch_size)).max()
    differ = int((exact.score[at] != generate_loop(model, windows, some, batch_size)).sum())

    times: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            start = time.process_time()
            run()
            times[key].append(time.process_time() - start)
    took = {key: statistics.median(each) for key, each in times.items()}
    for plain in ("forced", "generate"):
        took[plain] *= n_heads  # one head a layer was timed

    of_memorized = ""
    if len(memorized):
        # A generated text costs the same whatever it says.
        ratio = took["generate"] * len(memorized) / len(windows) / took["sweep with M, memorized"]
        of_memorized = f"    on the memorized windows, as importance is measured: {ratio:.2f}x\n"
    few = windows.select(np.arange(min(2, len(windows))))
    done = flops(lambda: ablate_heads(model, few)) * len(windows) / len(few)
    plainly = flops(lambda: forced_loop(model, few, some, batch_size)) * n_heads * len(windows) / len(few)
    allowed, reached = plainly / done, took["forced"] / took["sweep"]
    found = agreement(
        estimate_heads(model, windows).fall, exact.falls("log_prob"), documents=windows.document, n_resamples=200
    )
    print(
        f"{name}: {n_layers}x{n_heads} heads, {len(windows)} windows, {exact.memorized_clean.mean():.0%} memorized; "
        f"largest difference {difference:.1e} nats, scores that differ {differ} of {len(some) * len(windows)}\n"
        f"  sweep          {took['generate'] / took['sweep']:6.2f}x generate under each hook  (wanted: 5)\n"
        f"  sweep with M   {took['generate'] / took['sweep with M']:6.2f}x generate under each hook  (wanted: 3)\n"
        f"{of_memorized}"
        f"  sweep          {reached:6.2f}x teacher-forced loop  (wanted: 2.5 small, 1.8 large); operations allow "
        f"{allowed:.2f}x, {reached / allowed:.0%} of it reached  (wanted: 85%)\n"
        f"  sweep runs at  {done / took['sweep'] / product_rate():.0%} of this machine's own matrix-product rate\n"
        f"  estimate       {took['sweep'] / took['estimate']:6.2f}x the sweep; Spearman {found.spearman}, "
        f"top-20% Jaccard {found.jaccard} (random sets: {found.expected_jaccard:.2f})",
        flush=True,
    )
    peaks = ", ".join(f"{key} {peak_mib(run):.0f}" for key, run in runs.items())
    print(f"  peak memory beyond the model, MiB: {peaks}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(SMALL_FAMILIES))
    parser.add_argument("--size", default="1.2m")
    parser.add_argument("--windows", type=int, default=64, help="for the small models")
    parser.add_argument("--large-windows", type=int, default=4, help="for the larger shapes")
    parser.add_argument("--no-large", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    per_set = -(-args.windows // 8)
    windows = planted_windows(sets=["planted-256", "held_out"], per_set=per_set).select(np.arange(args.windows))
    for family in args.families:
        name = small_model_name(family, args.size)
        bench(name, load_model(name, device="cpu"), windows, rounds=args.rounds, batch_size=args.batch_size)
    for name, config in {} if args.no_large else LARGE.items():
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(config, Path(folder))
            ids = torch.randint(
                0, config.vocab_size, (args.large_windows, 64), generator=torch.Generator().manual_seed(0)
            )
            bench(name, model, Windows.from_tokens(ids), rounds=args.rounds, batch_size=args.batch_size)


if __name__ == "__main__":
    main()
