"""The page of a preview."""

from .preview import Preview

__all__ = ["preview_page"]


def preview_page(preview: Preview) -> str:
    return ""
