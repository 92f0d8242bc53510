"""`python -m seqaug` is `seqaug`: what torchrun starts in every process."""

from __future__ import annotations

from seqaug.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
