import base64
import hashlib

from service.api.security import page_policy


def test_a_pages_own_scripts_and_styles_are_allowed_by_their_hashes() -> None:
    policy = page_policy('<style>a{}</style><script src="x.js"></script><script>\n1</script>')
    for source, text in (("script-src", b"\n1"), ("style-src", b"a{}")):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert f"{source} 'self' 'sha256-{digest}';" in policy
    assert policy.count("sha256") == 2


def test_further_sources_of_styles_can_be_allowed() -> None:
    assert "style-src 'self' 'unsafe-inline';" in page_policy("", styles="'self' 'unsafe-inline'")
