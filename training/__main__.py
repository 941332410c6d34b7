"""`python -m training` is `gan-train`."""

from training.cli import main

if __name__ == "__main__":
    main()
