"""Exact counts of n-grams in a corpus of token ids, from a suffix array on disk.

The engine is ``tokengrams`` (EleutherAI, Rust): a suffix array beside the tokens, both memory-mapped. Two binary
searches count an n-gram of any length and read only the visited pages. Opening an index reads it once (about 0.15
microseconds per token here), because the engine checks the order of the suffixes.

The other maintained engine is the local one of ``infini-gram``. Both were measured on one corpus of 10 million tokens,
on two cores, with equal counts (``experiments/benchmarks/counts.py`` repeats the look-ups). ``tokengrams`` built the
index in 3.3 s against 4.4 s. It counted an 8-gram in 7 microseconds (2.5 in sorted order) against more than 180,
because infini-gram starts threads for every query. The index of infini-gram is half as large (4 bytes per token against
8), but its indexer asked for 34 GB to index the same tokens as u32, and its wheel needs Python 3.11.
"""
