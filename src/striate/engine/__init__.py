"""Running networks. The reference executes declarations directly; it is the oracle of every faster engine."""
