"""Comparison of head maps: across methods, texts and families."""
