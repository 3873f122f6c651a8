"""Descriptions of the measurements: settings, tables, figures, and a sentence with the finding.

Each module describes one measurement. The command line is made from these descriptions. Heavy packages are imported
only when a measurement runs, so that ``interp --help`` is fast.
"""
