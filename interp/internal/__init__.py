"""The internal level: what happens inside the model when it reproduces memorized text."""
