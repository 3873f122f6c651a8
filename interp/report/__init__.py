"""Reports: one page of any set of stored results, and its figures as files."""
