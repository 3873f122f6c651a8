"""Comparisons, described once: what is made of tables of many models, with its tables, figures and findings."""
