"""The internal level: what happens in the model when it recites."""
