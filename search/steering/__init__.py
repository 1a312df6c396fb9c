"""Steering a study: pausing, stopping, extending, retrying, moving."""
