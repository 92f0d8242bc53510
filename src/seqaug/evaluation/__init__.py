"""What came of it: ranks and metrics."""
