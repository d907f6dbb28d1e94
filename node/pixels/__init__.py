"""Masks pixels: what the regions of a filter cover becomes black, everything else stays as it is.

Guarantees
    Native Pixel Data: every byte that belongs to no masked pixel stays, and so does the whole header. Compressed Pixel
    Data: the decoded samples outside the mask are written as they are, in Explicit VR Little Endian, and no element
    changes but those that describe how the samples are encoded. Memory depends on one row or one compressed frame, not
    on the instance. The same instance and regions give the same bytes, whatever decoders are installed beside ours.

Refuses
    With HoldInstance (`mask-failed`) whatever is not certain to be right: a length that does not fit, a decoder that
    is missing or fails, codestreams that contradict the header, regions that lie outside the image.
"""

from node.pixels.masking import Masked, mask

__all__ = ["Masked", "mask"]
