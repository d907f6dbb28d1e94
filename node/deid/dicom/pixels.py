"""The names of `deid.dicom.pixels`."""

from node.deid.pixels import DicomCleaner, clean_pixel_data, has_burned_pixels

__all__ = ["DicomCleaner", "clean_pixel_data", "has_burned_pixels"]
