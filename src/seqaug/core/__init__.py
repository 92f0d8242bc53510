"""What we talk about: the vocabulary of an assembly."""
