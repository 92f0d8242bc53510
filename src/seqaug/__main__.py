"""`python -m seqaug` is `seqaug`: what torchrun starts in every process."""

from seqaug.cli.main import main

if __name__ == "__main__":
    main()
