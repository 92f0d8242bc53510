"""seqaug: augmentation for sequential recommendation, as recipes of exchangeable plugins.

What plugins and scripts may use is in `seqaug.api`; importing this package alone does not import torch.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
