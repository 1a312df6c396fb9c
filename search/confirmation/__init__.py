"""Confirmations: the studies that train the best of a search again, on seeds that no search has seen."""
