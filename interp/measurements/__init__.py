"""Measurements, described once: settings, tables, figures and the sentence that says what was found.

A module here holds one measurement. The command line is made from these descriptions. Nothing heavy is imported before
a measurement runs: ``interp --help`` must not wait for torch.
"""
