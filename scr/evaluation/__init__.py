"""Measuring: labelled data in, figures out."""
