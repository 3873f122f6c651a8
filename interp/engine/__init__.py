"""Fast execution of a model: single blocks, keys and values, greedy decoding, and reading of logits."""
