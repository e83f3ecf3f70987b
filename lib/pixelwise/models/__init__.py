"""The networks of the book, one file a chapter."""
