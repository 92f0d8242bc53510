"""What happens: epochs, updates, early stopping."""
