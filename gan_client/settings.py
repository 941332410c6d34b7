"""Where the service is, and the key to it: from the environment, so that no key stands in a command line."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "GAN_CLIENT_"


class ClientSettings(BaseSettings):
    """Variables that a client reads where it is not told otherwise."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, use_attribute_docstrings=True, extra="ignore")

    url: str = "http://127.0.0.1:8000"
    """Address of the service."""
    key: SecretStr | None = None
    """API key."""
