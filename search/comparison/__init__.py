"""Comparisons: algorithms tuned under the same budget, and the best of each on the same held-out seeds."""
