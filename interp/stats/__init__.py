"""Estimates and intervals, ranks, and curves over groups of windows."""
