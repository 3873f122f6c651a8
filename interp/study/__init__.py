"""Studies: a file defines units, which are planned, measured by an engine, and kept in a store."""
