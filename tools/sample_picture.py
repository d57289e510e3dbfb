"""Print where a picture lies that came with an installed package (scikit-learn's photograph of a temple in Beijing)."""

from __future__ import annotations

from importlib import resources

print(resources.files("sklearn.datasets.images").joinpath("china.jpg"))
