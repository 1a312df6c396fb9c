"""Rendering of comparisons: while they run, and in the end."""
