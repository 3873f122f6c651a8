"""The commands of ``interp``."""
