"""Studies: a file says what to measure; its units are planned, measured by an engine, and kept in a store."""
