"""Head maps to explore, in a notebook and as a page."""
