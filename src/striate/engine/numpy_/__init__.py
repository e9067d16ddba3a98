"""The engine in numpy: vectorized statements, their gradients, and the reference that spells them out."""
