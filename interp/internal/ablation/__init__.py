"""Ablation: which attention heads carry memorized text."""
