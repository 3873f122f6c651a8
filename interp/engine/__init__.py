"""Running a model fast: its blocks one by one, keys and values, greedy text, logits read in one place."""
