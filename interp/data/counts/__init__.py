"""Exact counts of n-grams in a corpus of token ids, from a suffix array on disk.

The engine is ``tokengrams`` (EleutherAI, Rust): a suffix array beside the tokens, both memory-mapped, so that an
n-gram of any length is counted by two binary searches and nothing but the visited pages is read. Opening an index
reads it once (about 0.15 microseconds a token here): the engine checks that the suffixes are in order.

Why not the local engine of ``infini-gram``, the other one kept today: both were measured on one corpus of 10 million
tokens, two cores, with equal counts (``experiments/benchmarks/counts.py`` repeats the look-ups). ``tokengrams`` built
the index in 3.3 s against 4.4 s and counted an 8-gram in 7 microseconds (2.5 in sorted order) against more than 180,
because infini-gram starts threads for every query; infini-gram's index is half as large (4 bytes a token against
8), but its indexer asked for 34 GB to index the same tokens as u32, and its wheel needs Python 3.11.
"""
