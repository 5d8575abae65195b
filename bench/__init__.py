"""Measurements of the product on sources of any size; see ``make bench``."""
