"""Results: assessing policies, and statistics over seeds."""
