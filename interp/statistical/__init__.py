"""The statistical level: which windows are memorized, how often, from how short a prefix."""
