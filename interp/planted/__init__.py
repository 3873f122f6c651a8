"""The testbed: shipped text, planted windows, and the shapes, weights and training of the small models."""
