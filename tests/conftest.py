"""What all tests share: one thread, so that numbers and times do not depend on who else is running."""

from __future__ import annotations

import os

import torch

os.environ.setdefault("NO_COLOR", "1")
torch.set_num_threads(1)
