"""Networks on PyTorch: the second engine."""
