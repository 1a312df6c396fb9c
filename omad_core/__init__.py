"""OMAD: online multi-agent reinforcement learning with diffusion policies (arXiv 2602.18291)."""
