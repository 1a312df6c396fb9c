"""The budget: slots, leases and fencing, the studies they belong to, and how both are seen."""
