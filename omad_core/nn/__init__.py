"""Layers, normalisation and the optimiser, for many networks at once."""
