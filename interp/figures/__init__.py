"""Figures: one pure function per figure, from a finished result or table."""
