"""Noise and substituted tokens: which disturbances the model recovers from."""
