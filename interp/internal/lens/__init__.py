"""Lenses: in which layer the token appears."""
