"""Writers of pages and pictures that are made from the code."""
