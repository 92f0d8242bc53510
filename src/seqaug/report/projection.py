"""Vectors as points in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["PCA", "TSNE", "principal", "projected"]

TSNE = "t-SNE"
PCA = "PCA"
PERPLEXITY = 30.0


def projected(vectors: NDArray[np.float64], *, seed: int) -> tuple[NDArray[np.float64], str]:
    """(N, D) -> (N, 2), and how: "t-SNE" where scikit-learn is installed (the extra `plots`), else "PCA".

    Vectors are set to length 1 first, so that what is near is what has a high cosine. seed: of t-SNE.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    try:
        from sklearn.manifold import TSNE as Embedding
    except ImportError:
        return principal(unit), PCA
    if len(unit) < 4:
        return principal(unit), PCA
    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    found = Embedding(n_components=2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(unit)
    return np.asarray(found, dtype=np.float64), TSNE


def principal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, D) -> (N, 2), the two directions in which they vary most; zeros where there are fewer.

    The sign of each is that of its largest coordinate, so that the picture is the same everywhere.
    """
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    kept = min(2, len(sizes))
    found[:, :kept] = left[:, :kept] * sizes[:kept]
    largest = np.abs(found).argmax(axis=0)
    signs = np.sign(found[largest, [0, 1]])
    return np.asarray(found * np.where(signs == 0, 1.0, signs))
