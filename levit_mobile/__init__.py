"""LeViT from PyTorch to phones and ARM boards."""

__all__ = ["__version__"]

__version__ = "0.1.0"
