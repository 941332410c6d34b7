"""Headers that tell browsers what the service's responses may not do."""

import base64
import hashlib
import re

HEADERS = [("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer")]
"""Headers of every response. The server writes them, as bytes that it prepares once."""


def page_policy(html: str, styles: str = "'self'") -> str:
    """Returns the Content-Security-Policy of a page: it loads from this service only, and runs its own scripts only.

    `styles`: further sources of styles.
    """
    scripts, own_styles = (_hashes(html, tag) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src 'self'{scripts}; style-src {styles}{own_styles}; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(html: str, tag: str) -> str:
    inline = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inline)
    return "".join(f" 'sha256-{digest}'" for digest in digests)
