"""Noise and substituted tokens: what the model heals."""
