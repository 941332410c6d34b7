"""Why an image file is not decoded."""


class ImageError(Exception):
    """A file that is not decoded; the message says what came and what to do."""


class UnsupportedError(ImageError):
    """The file has another format, or a variant of a format that is not decoded."""


class DamagedError(ImageError):
    """The file is damaged, or too much of its data is missing."""


class TooLargeError(ImageError):
    """The image has too many pixels, or too long a side."""


class TooCostlyError(ImageError):
    """The file is made so that decoding it takes far longer than its image is worth."""
