"""Every estimate and interval, ranks, and curves over groups of windows."""
