"""Turns an OpenAPI description into a draft of a module document, with the questions it leaves open (format, 8)."""

from taske_ray.catalog.openapi.draft import draft_module

__all__ = ["draft_module"]
