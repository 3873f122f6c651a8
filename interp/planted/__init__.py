"""The testbed: shipped text, what was planted, shapes, weights and training of the small models."""
