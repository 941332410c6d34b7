"""Small image files for Schemathesis, which would upload random bytes otherwise."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from service.api.negotiation import OCTETS

LONGEST_SIDE = 90
"""Images stay small, so that the service responds within milliseconds."""


def encoded(size: tuple[int, int], colour: tuple[int, int, int], format: str) -> bytes:
    """Returns an image file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format)
    return buffer.getvalue()


sides, levels = st.integers(1, LONGEST_SIDE), st.integers(0, 255)
images = st.builds(
    encoded, st.tuples(sides, sides), st.tuples(levels, levels, levels), st.sampled_from(["PNG", "JPEG", "WEBP"])
)
for media_type in ("image/*", OCTETS):
    schemathesis.openapi.media_type(media_type, images)
