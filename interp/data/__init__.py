"""Windows, corpora and counts."""
