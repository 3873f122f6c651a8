"""Head maps compared: across methods, text and families."""
