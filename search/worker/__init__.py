"""Workers: they claim slots, train their trials and commit the results."""
