"""What there is: sequences, splits, ragged batches. Knows nothing of models."""
