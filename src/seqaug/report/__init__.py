"""What was found, as people read it: tables, figures, pages."""
