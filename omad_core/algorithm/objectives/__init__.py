"""Objectives: what policies and critics are trained towards, one file of equations each."""
