"""Reports: figures, videos, exports and the final report."""
