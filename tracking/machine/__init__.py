"""The machine: cores, provenance, system metrics."""
