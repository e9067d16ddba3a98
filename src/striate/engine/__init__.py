"""Running networks. The reference executes declarations as they stand; it is the oracle of every faster engine."""
