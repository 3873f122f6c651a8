"""The commands of ``interp``, a module for each level. What they share is in ``interp.commands.measuring``."""
