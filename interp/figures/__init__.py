"""One pure function a figure, from a finished result or table."""
