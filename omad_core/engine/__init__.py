"""The engine: how a population of members is trained as one batched program."""
