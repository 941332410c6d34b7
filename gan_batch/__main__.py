"""`python -m gan_batch` is the `gan-batch` command."""

from gan_batch.cli import main

main()
