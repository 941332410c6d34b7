"""`python -m export` is `gan-export`."""

from export.cli import main

if __name__ == "__main__":
    main()
