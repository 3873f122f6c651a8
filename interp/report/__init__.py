"""Reports: one page for any set of stored results, and its figures as files."""
