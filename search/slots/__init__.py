"""The budget: slots, leases and fencing, and the studies they belong to."""
