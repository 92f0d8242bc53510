"""Views for seqaug whose new items are those that users had together with the old ones."""

from .edits import CooccurrenceEdits

__all__ = ["CooccurrenceEdits"]
