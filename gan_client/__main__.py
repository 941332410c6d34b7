"""`python -m gan_client` is the `gan-client` command."""

from gan_client.cli import main

main()
