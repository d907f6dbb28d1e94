"""deid-node: a DICOM node that receives images, removes identity by a recipe, and forwards them."""

__version__ = "0.1.0"
