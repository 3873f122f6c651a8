"""Descriptions of the comparisons of tables of many models, with their tables, figures and findings."""
