"""Ablation: which attention heads carry the text."""
